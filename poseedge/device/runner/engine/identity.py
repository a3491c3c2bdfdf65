"""What an engine was built for, compared with what is here."""

from typing import Any, Dict, List

# A container hides the board, and engines of older versions of this program do not say the rest.
MAY_BE_UNKNOWN = ("board", "gpu", "sms", "memory_gib")


def differences(built: Dict[str, Any], wanted: Dict[str, Any]) -> List[str]:
    """Return the keys in which ``built`` is not what is ``wanted``; unknown is unknown, not different."""
    unequal = [key for key, value in wanted.items() if built.get(key) != value]
    return [key for key in unequal if key not in MAY_BE_UNKNOWN or None not in (built.get(key), wanted[key])]
