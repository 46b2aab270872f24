"""The OpenAI-compatible edge: ``/v1/models`` and ``/v1/chat/completions``, on the same pipeline as ``/api``.

- ``model`` is ``persona:<name>`` (its template is the system prompt, the caller's default connection
  answers), ``persona:<name>@<connection>/<model>``, ``<connection>/<model>``, or a model of the default
  connection.
- The messages sent are the history, whatever the persona's own limits: only what does not fit into the
  model's context is left out, the oldest first, and a system message never. System messages at the
  beginning are joined to the persona's prompt, after a blank line; ``developer`` means ``system``.
- Nothing is kept as a conversation unless ``store`` is true; its id is then in ``X-Conversation-ID``.
- A client that closes its request cancels the turn. A worker that is lost before the first delta goes
  unnoticed; after it the stream ends with an error, and the turn is cancelled.
"""
