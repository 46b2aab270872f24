"""What is told of a vote: to the group what is public, to each agent what is its own."""

from __future__ import annotations

from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.languages.manager import LanguageManager
from workers.experiment.records import Choice, Consensus, Disagreement, VoteRound


def public_account(vote: VoteRound, text: LanguageManager, *, majority: bool = False) -> str | None:
    """What the group learns: who called the vote, who kept it from being held, and what the ballot brought.

    Never who voted for what, nor how many voted for it. ``None`` when nobody called a vote.

    Args:
        vote: as far as it went.
        text: in the group's language.
        majority: whether ballots decide by majority.
    """
    if vote.trigger == "none":
        return None
    sentences = []
    if vote.initiator is not None:
        sentences.append(text.text("voting.outcome.called", initiator=vote.initiator))
    if vote.trigger == "forced":
        sentences.append(text.text("voting.outcome.forced"))
    elif vote.confirmed:
        sentences.append(text.text("voting.outcome.held"))
    else:
        against = [answer.agent for answer in vote.confirmations if answer.agrees is False]
        unclear = [answer.agent for answer in vote.confirmations if answer.agrees is None]
        if against:
            sentences.append(text.text("voting.outcome.declined", names=text.names(against)))
        if unclear:
            sentences.append(text.text("voting.outcome.unclear", names=text.names(unclear)))
        sentences.append(text.text("voting.outcome.not_held"))
    if vote.consensus is not None:
        sentences.append(_outcome(vote.consensus, text, majority))
    return "\n".join(sentences)


def own_account(agent: ParticipantAgent, vote: VoteRound, *, majority: bool = False) -> str | None:
    """What ``agent`` may remember, in its language: its own answers and ballot, and what the group learns.

    Args:
        agent: whose memory it is for.
        vote: as far as it went.
        majority: whether ballots decide by majority.
    """
    text = agent.text
    lines = []
    for asked in vote.initiations:
        if asked.agent == agent.name:
            key = "wanted" if asked.wants else "did_not_want"
            lines.append(text.text(f"voting.memory.{key}", round=vote.round))
    for answer in vote.confirmations:
        if answer.agent == agent.name and agent.name != vote.initiator:
            key = {True: "agreed", False: "declined", None: "unclear"}[answer.agrees]
            lines.append(text.text(f"voting.memory.{key}"))
    for ballot in vote.ballots:
        if ballot.agent == agent.name:
            if ballot.choice is None:
                lines.append(text.text("voting.memory.abstained"))
            else:
                lines.append(text.text("voting.memory.voted", choice=in_words(ballot.choice, text)))
    account = public_account(vote, text, majority=majority)
    if account is not None:
        lines.append(account)
    return "\n".join(lines) or None


def in_words(choice: Choice, text: LanguageManager) -> str:
    """A principle, with its amount where it has one."""
    principle = text.principle(choice.principle)
    if choice.amount is None:
        return text.text("voting.choice.plain", principle=principle)
    return text.text("voting.choice.amount", principle=principle, amount=text.money(choice.amount))


def _outcome(consensus: Consensus, text: LanguageManager, majority: bool) -> str:
    if consensus.choice is not None:
        key = "majority" if majority else "consensus"
        return text.text(f"voting.outcome.{key}", choice=in_words(consensus.choice, text))
    return text.text(f"voting.outcome.{(consensus.disagreement or Disagreement.FAILED).value}")
