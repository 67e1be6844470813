"""Encoder, decoder, discriminator and auxiliary network."""
