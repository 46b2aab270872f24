"""Character cards of other applications (V1, V2, V3; JSON or PNG), read as personas with modules.

Sources: https://github.com/malfoyslastname/character-card-spec-v2 and
https://github.com/kwaroran/character-card-spec-v3.
"""

from shared.cards.card import Card, is_card, parse_card, read_png_card
from shared.cards.character import CardPersona, card_persona

__all__ = ["Card", "CardPersona", "card_persona", "is_card", "parse_card", "read_png_card"]
