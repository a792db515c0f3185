#!/usr/bin/env python3
"""The same work on a list as `./zv bench leads`, by SQLite: the alternative that the figures are compared with.

    leads_sqlite.py LIST.csv FOLDER [SECONDS]

Imports the list (one transaction for 1,000 rows), then claims and settles 100 calls a second, each in transactions that
are on the disk when they return (WAL, synchronous=FULL), and counts leads by status. One JSON object on stdout.
"""

import csv
import json
import os
import resource
import sqlite3
import sys
import time


def main():
    source, folder = sys.argv[1], sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 20.0
    os.makedirs(folder, exist_ok=True)
    db = sqlite3.connect(os.path.join(folder, "leads.sqlite"), isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE lead (id TEXT PRIMARY KEY, position INT, status TEXT, due INT, claim TEXT, card TEXT)")
    db.execute("CREATE INDEX due ON lead (status, due, position)")
    db.execute("CREATE TABLE intent (attempt TEXT PRIMARY KEY, row TEXT)")
    db.execute("CREATE TABLE call (attempt TEXT PRIMARY KEY, row TEXT)")
    db.execute("CREATE TABLE charge (attempt TEXT PRIMARY KEY, row TEXT)")

    begun = time.monotonic()
    count = 0
    with open(source, encoding="utf-8", newline="") as file:
        batch = []
        for row in csv.DictReader(file):
            batch.append((row["lead"], count, "new", 0, None, json.dumps(row, ensure_ascii=False)))
            count += 1
            if len(batch) == 1000:
                insert(db, batch)
                batch = []
        insert(db, batch)
    took = time.monotonic() - begun

    claims, settles = [], []
    begun = time.monotonic()
    done = 0
    while time.monotonic() - begun < seconds:
        wait = begun + done / 100 - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        lead, position, card = db.execute(
            "SELECT id, position, card FROM lead WHERE status='new' AND claim IS NULL ORDER BY due, position LIMIT 1"
        ).fetchone()
        attempt = f"a{done}"
        at = time.monotonic()
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE lead SET claim=? WHERE id=? AND claim IS NULL", (attempt, lead))
        db.execute("INSERT INTO intent VALUES (?, ?)", (attempt, card))
        db.execute("COMMIT")
        claims.append(time.monotonic() - at)
        db.execute("UPDATE intent SET row=? WHERE attempt=?", (card + "started", attempt))
        at = time.monotonic()
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM intent WHERE attempt=?", (attempt,))
        db.execute("INSERT INTO call VALUES (?, ?)", (attempt, "x" * 1500))
        db.execute("INSERT INTO charge VALUES (?, ?)", (attempt, "x" * 300))
        db.execute("UPDATE lead SET status='reached', claim=NULL WHERE id=?", (lead,))
        db.execute("COMMIT")
        settles.append(time.monotonic() - at)
        done += 1
    rate = done / (time.monotonic() - begun)

    at = time.monotonic()
    counts = dict(db.execute("SELECT status, count(*) FROM lead GROUP BY status").fetchall())
    counted = time.monotonic() - at
    print(json.dumps({
        "leads": count,
        "import_s": round(took, 2),
        "import_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "calls_per_s": round(rate, 1),
        "claim_p50_ms": quantile(claims, 0.50),
        "claim_p99_ms": quantile(claims, 0.99),
        "settle_p99_ms": quantile(settles, 0.99),
        "counts_ms": round(counted * 1000, 2),
        "counts": counts,
    }))


def insert(db, batch):
    db.execute("BEGIN")
    db.executemany("INSERT INTO lead VALUES (?, ?, ?, ?, ?, ?)", batch)
    db.execute("COMMIT")


def quantile(values, q):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(q * len(values)))] * 1000, 3) if values else None


if __name__ == "__main__":
    main()
