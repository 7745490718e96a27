"""What an adversary may do: the units of a radius, environments that show attacked states, and the adversary's own."""

import gymnasium

ADVERSARY = "robustsuite/Adversary-v0"
DIRECTOR = "robustsuite/Director-v0"

for _name, _entry in ((ADVERSARY, "AdversaryEnv"), (DIRECTOR, "DirectorEnv")):
    if _name not in gymnasium.registry:
        gymnasium.register(_name, entry_point=f"{__name__}.adversary_env:{_entry}")
