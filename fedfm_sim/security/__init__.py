"""What participants and server do to each other: attacks, defences, privacy, audits by replay."""
