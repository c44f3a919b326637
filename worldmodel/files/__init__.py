"""Files written whole or not at all, with digests, locks and a full disk in mind."""
