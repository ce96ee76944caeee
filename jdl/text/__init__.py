"""Texts: tokens, vocabularies, sub-words, windows and counts. All of it runs on the host."""
