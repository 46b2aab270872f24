"""What the tests' own Parleys may reach: their fake providers are on loopback, for users who are nobody's
administrator. Tests of the guard itself choose the setting themselves.
"""

#: ``outbound_private`` of every Parley that a test starts.
FAKES_ARE_LOCAL = "allow"
