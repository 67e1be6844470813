"""The paper's rivals."""
