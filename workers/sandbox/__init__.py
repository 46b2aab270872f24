"""Scripts of users: the language they may use, the process that they run in, and what they may call.

Importing this package imports nothing else: the script process starts from it too.
"""
