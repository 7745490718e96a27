"""The checker of annotations at test time: beartype, with an int where a float is asked for (PEP 484's tower)."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
