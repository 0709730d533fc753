"""Renders a JSON list of tides as an HTML table: page.py INPUT OUTPUT."""
import html
import json
import os
import sys

source, target = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    tides = json.load(file)
rows = "\n".join(f"<tr><td>{html.escape(t['time'])}</td><td>{t['metres']:.1f} m</td></tr>" for t in tides)
os.makedirs(os.path.dirname(target), exist_ok=True)
with open(target, "w", encoding="utf-8") as file:
    file.write(f"<h1>{html.escape(os.environ['TITLE'])}</h1>\n<table>\n{rows}\n</table>\n")
