"""Three small programs of arithmetic, permutations and objects; each line: a name, a checksum, nanoseconds."""

import time

BODIES = [
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 39.47841760435743],
    [4.84143144246472, -1.16032004402742, -0.10362204447112, 0.60632639299583, 2.81198684491626, -0.02521836165988, 0.03769367487038],
    [8.34336671824457, 4.12479856412430, -0.40352341711432, -1.01077434617879, 1.82566237123041, 0.00841576137658, 0.01128632613968],
    [12.8943695621391, -15.1111514016986, -0.22330757889265, 1.08279100644153, 0.86871301816960, -0.01083263740136, 0.00172372405705],
    [15.3796971148509, -25.9193146099879, 0.17925877295037, 0.97909073224389, 0.59469899864767, -0.03475595551110, 0.00203368686992],
]


def nbody(steps):
    bodies = [list(body) for body in BODIES]
    pairs = [(a, b) for i, a in enumerate(bodies) for b in bodies[i + 1 :]]
    for _ in range(steps):
        for a, b in pairs:
            dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
            pull = 0.01 * (dx * dx + dy * dy + dz * dz) ** -1.5
            from_b, from_a = b[6] * pull, a[6] * pull
            a[3] -= dx * from_b
            a[4] -= dy * from_b
            a[5] -= dz * from_b
            b[3] += dx * from_a
            b[4] += dy * from_a
            b[5] += dz * from_a
        for body in bodies:
            body[0] += 0.01 * body[3]
            body[1] += 0.01 * body[4]
            body[2] += 0.01 * body[5]
    return bodies[0][0]


def fannkuch(n):
    order, count, most, checksum, sign = list(range(n)), list(range(n)), 0, 0, 1
    while True:
        if order[0]:
            flipped, flips = order[:], 0
            while head := flipped[0]:
                flipped[: head + 1] = flipped[head::-1]
                flips += 1
            most = max(most, flips)
            checksum += sign * flips
        if sign == 1:
            order[0], order[1] = order[1], order[0]
            sign = -1
            continue
        order[1], order[2] = order[2], order[1]
        sign = 1
        for i in range(2, n):
            if count[i]:
                count[i] -= 1
                break
            count[i] = i
            if i == n - 1:
                return checksum, most
            order.insert(i + 1, order.pop(0))


class Record:
    def __init__(self, number, name, next=None):
        self.number, self.name, self.next = number, name, next

    def copy(self):
        return Record(self.number, self.name, self.next)


def proceed(record, glob):
    fresh = record.copy()
    fresh.number = glob["count"] % 7 + record.number
    fresh.next = record
    if fresh.name > "record 3" and fresh.number:
        glob["count"] += fresh.number
    return fresh


def records(turns):
    glob = {"count": 0}
    record = Record(1, "record 0")
    names = ["record %d" % i for i in range(8)]
    for turn in range(turns):
        record = proceed(record, glob)
        record.number &= 15
        record.name = names[(turn + record.number) & 7]
        record.next = None
    return glob["count"]


for function, size in [(nbody, 20000), (fannkuch, 9), (records, 200000)]:
    start = time.perf_counter_ns()
    result = function(size)
    print(function.__name__, result, time.perf_counter_ns() - start)
