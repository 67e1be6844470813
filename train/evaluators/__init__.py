"""Networks and measures that judge, never trained together with what they judge."""
