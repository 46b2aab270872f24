"""The step log: every model call and every draw of a run, so that none is ever made twice."""
