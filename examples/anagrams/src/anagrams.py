#!/usr/bin/env python3
"""Counts, for each word length, the words of a dictionary that are anagrams of another word."""
import collections
import os

path = os.environ.get("WORDS", "/data/words.txt")
with open(path, encoding="utf-8") as file:
    words = sorted({word.strip().lower() for word in file})

families = collections.defaultdict(list)
for word in words:
    families["".join(sorted(word))].append(word)

by_length = collections.defaultdict(list)
for word in words:
    by_length[len(word)].append(word)

counts = {
    length: sum(1 for word in group if len(families["".join(sorted(word))]) > 1)
    for length, group in sorted(by_length.items())
}
print(counts)
