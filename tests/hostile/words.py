"""What a hostile hand would write into names and values."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

CANARY = "canary-was-here"
"""A file of this name appears in the current folder if anything hands a name to a shell or to `eval`."""

NASTY = (
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f"; touch {CANARY} #",
    f"|touch {CANARY}|",
    f"\ntouch {CANARY}\n",
    f"__import__('os').system('touch {CANARY}')",
    f"{{open('{CANARY}', 'w')}}",
    "{{ 7 * 7 }}{% raw %}",
    "$(node) $ENV(HOME) $$(Name)",
    "a b",
    "quote'quote",
    'quote"quote',
    "back\\slash",
    "line\nqueue 1000\n",
    "\r\nexecutable = /bin/sh\r\n",
    "JOB evil evil.sub",
    "../../../../etc/passwd",
    "/etc/passwd",
    "-rf",
    "nul\0byte",
    "é☃\u202e\u2028",
    "%s%n{0}",
    "x" * 5000,
)

nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), nasty),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(nasty, inner, max_size=4)),
    max_leaves=8,
)

# The same cases each time, and no limit in time: neither chance nor a slow machine may fail a test. What fails is not
# made smaller, which would take minutes.
repeatable = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def few(examples: int) -> settings:
    """Settings for so many examples."""
    return settings(repeatable, max_examples=examples)


def damaged(good: bytes) -> st.SearchStrategy[bytes]:
    """The bytes of a file with some of them changed, cut off, or put in."""

    def change(where: float, how: str, what: bytes) -> bytes:
        place = int(where * len(good))
        if how == "cut":
            return good[:place]
        if how == "insert":
            return good[:place] + what + good[place:]
        return good[:place] + what + good[place + len(what) :]

    place = st.floats(0, 1, exclude_max=True)
    return st.builds(change, place, st.sampled_from(["cut", "insert", "replace"]), st.binary(min_size=1, max_size=8))
