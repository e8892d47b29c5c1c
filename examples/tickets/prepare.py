"""Makes up the table of the `tickets` example: what customers of a maker of gadgets might send its help desk.

    python examples/tickets/prepare.py [--tickets 300] [--out DIR]

A ticket is a message in Chinese or English, a screenshot with an error dialog, a voice note in which the
gadget beeps, and what the shop knows: the gadget's age and where it was bought. Any of them may be missing.
Nothing in it is real. What tells what:

    defect    the symptom in the message (a third are vague), the dialog's drawing and code, the beeps; and a
              little the gadget's age: batteries fail late, networks early
    urgency   how the message ends, the colour of the dialog, how fast the beeps follow each other
    labels    the message alone
    outcome   follows from the other three, and most tickets have none yet

Writes metadata.csv, screenshots/*.png and voice/*.wav. The same number of tickets makes the same files.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw, ImageFont

SEED = 20261123
TICKETS_PER_CUSTOMER = 5
NOT_TOLD = {"message": 0.15, "screenshot": 0.25, "voice_note": 0.35, "urgency": 0.1, "outcome": 0.6}
NOT_KNOWN = {"age_months": 0.2, "shop": 0.1}
FIELDS = (
    *("customer", "message", "screenshot", "voice_note", "age_months", "shop"),
    *("defect", "urgency", "labels", "outcome"),
)
AGES_MONTHS = {"display": 18, "battery": 32, "network": 5, "sound": 14}  # when most of them show
SHOPS = {"zh": ("Lanzhou", "online"), "en": ("Leeds", "Lyon", "online")}

DEFECTS = ("display", "battery", "network", "sound")
PRODUCTS = {  # its language, and its faults, the frequent ones twice
    "星岚平板": ("zh", ("display", "display", "battery", "network")),
    "青竹阅读器": ("zh", ("battery", "battery", "display", "network")),
    "云雀音箱": ("zh", ("network", "network", "sound", "battery")),
    "NovaPad-X": ("en", ("display", "display", "battery", "network")),
    "Lark.One": ("en", ("network", "network", "sound", "battery")),
}
SYMPTOMS = {
    ("zh", "display"): ("的屏幕全黑了", "屏幕一直在闪", "上面出现很多条纹", "的画面看不清"),
    ("zh", "battery"): ("充不上电", "的电池半小时就没电了", "充电时发烫", "拔下电源就关机"),
    ("zh", "network"): ("连不上无线网", "总是掉线", "找不到路由器", "的网络很慢"),
    ("zh", "sound"): ("没有声音", "的喇叭有杂音", "音量调不大", "只有一边响"),
    ("zh", ""): ("坏了", "不能用了", "又出问题了", "有故障，请看附件"),
    ("en", "display"): ("has a black screen", "keeps flickering", "shows stripes all over", "is too dim"),
    ("en", "battery"): (
        "does not charge",
        "is empty after an hour",
        "gets hot at the charger",
        "dies unplugged",
    ),
    ("en", "network"): ("finds no wifi", "keeps going offline", "cannot see the router", "loads very slowly"),
    ("en", "sound"): ("is silent", "crackles", "cannot be turned up", "plays on one side only"),
    ("en", ""): ("is broken", "stopped working", "acts up", "has a problem, see what I attached"),
}
REMARKS = {
    ("zh", "warranty"): ("还在保修期内", "上个月刚买的，有保修"),
    ("zh", "refund"): ("我要退款", "请把钱退给我"),
    ("zh", "again"): ("上次修过还是这样", "这是第二次了"),
    ("en", "warranty"): ("it is still under warranty", "I bought it last month, with warranty"),
    ("en", "refund"): ("I want a refund", "please pay me back"),
    ("en", "again"): ("you repaired it once already", "it is the second time"),
}
LABELS = ("warranty", "refund", "again")
ENDINGS = {  # by urgency: low, middle, high
    "zh": (("不着急", "有空再看"), ("请尽快回复", "希望这周处理"), ("非常急", "今天必须解决")),
    "en": (("no hurry", "whenever you can"), ("please answer soon", "this week would be good"),
           ("this is urgent", "I need it today")),
}  # fmt: skip

COLOURS = ((60, 110, 200), (225, 160, 30), (205, 45, 40))  # of a dialog: notice, warning, error
RATE_HZ = 8000
BEEPS = {  # (Hz, seconds) one after another
    "display": ((500, 0.6),),
    "battery": ((1500, 0.1), (1500, 0.1), (1500, 0.1)),
    "network": ((800, 0.15), (1200, 0.15), (800, 0.15), (1200, 0.15)),
    "sound": ((1600, 0.2), (1100, 0.2), (700, 0.2)),
}
PAUSES_S = (0.8, 0.5, 0.25)  # between two rounds of beeps, by urgency
LONG_S = 9.0  # of beeps, where the sender forgot to stop the recording


@dataclass(frozen=True, kw_only=True)
class Customer:
    name: str
    product: str
    dark: bool
    hum_hz: int


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """urgent: 0, 1 or 2, what the media show; urgency: what the help desk wrote down, 1 to 5."""

    customer: Customer
    defect: str
    urgent: int
    urgency: float
    labels: tuple[str, ...]

    @property
    def outcome(self) -> str:
        if self.defect == "network":
            return "advice"
        if self.defect == "sound" and self.urgent == 0:
            return "advice"
        return "exchange" if "warranty" in self.labels else "repair"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tickets", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    for folder in ("screenshots", "voice"):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED)
    customers = [draw_customer(n, rng) for n in range(-(-options.tickets // TICKETS_PER_CUSTOMER))]
    shop_rng = random.Random(SEED)
    with (options.out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for n in range(options.tickets):
            ticket = draw_ticket(rng.choice(customers), rng)
            writer.writerow(write_ticket(n, ticket, options.out, rng) | draw_sale(ticket, shop_rng))
    sys.stdout.write(f"{options.tickets} tickets in {options.out / 'metadata.csv'}\n")


def draw_customer(number: int, rng: random.Random) -> Customer:
    return Customer(
        name=f"customer-{number:03d}",
        product=rng.choice(list(PRODUCTS)),
        dark=rng.random() < 0.5,
        hum_hz=rng.choice((50, 60, 100, 120)),
    )


def draw_ticket(customer: Customer, rng: random.Random) -> Ticket:
    urgent = rng.randrange(3)
    return Ticket(
        customer=customer,
        defect=rng.choice(PRODUCTS[customer.product][1]),
        urgent=urgent,
        urgency=round(1.5 + 1.5 * urgent + rng.uniform(-0.5, 0.5), 1),
        labels=tuple(label for label in LABELS if rng.random() < 0.3),
    )


def draw_sale(ticket: Ticket, rng: random.Random) -> dict[str, str]:
    """What the shop knows of the gadget, with gaps."""
    sale = {
        "age_months": str(max(round(rng.gauss(AGES_MONTHS[ticket.defect], 6)), 0)),
        "shop": rng.choice(SHOPS[PRODUCTS[ticket.customer.product][0]]),
    }
    return {column: "" if rng.random() < NOT_KNOWN[column] else value for column, value in sale.items()}


def write_ticket(number: int, ticket: Ticket, out: Path, rng: random.Random) -> dict[str, str]:
    """Writes its files; returns its row, with gaps, but never without a medium."""
    gaps = {field for field, share in NOT_TOLD.items() if rng.random() < share}
    if gaps >= {"message", "screenshot", "voice_note"}:
        gaps.remove("message")
    row = {
        "customer": ticket.customer.name,
        "message": write_message(ticket, rng),
        "screenshot": f"screenshots/{number:04d}.png",
        "voice_note": f"voice/{number:04d}.wav",
        "defect": ticket.defect,
        "urgency": str(ticket.urgency),
        "labels": "|".join(ticket.labels) or "|",
        "outcome": ticket.outcome,
    }
    if "screenshot" not in gaps:
        draw_screenshot(ticket, rng).save(out / row["screenshot"])
    if "voice_note" not in gaps:
        soundfile.write(out / row["voice_note"], play_note(ticket, rng), RATE_HZ)
    return row | dict.fromkeys(gaps, "")


def write_message(ticket: Ticket, rng: random.Random) -> str:
    product = ticket.customer.product
    language = PRODUCTS[product][0]
    symptom = rng.choice(SYMPTOMS[language, rng.choice((ticket.defect, ticket.defect, ""))])
    remarks = [rng.choice(REMARKS[language, label]) for label in ticket.labels]
    parts = [*rng.sample(remarks, len(remarks)), rng.choice(ENDINGS[language][ticket.urgent])]
    if language == "zh":
        return rng.choice(("", "我的", "你好，")) + product + "，".join((symptom, *parts)) + "。"
    return f"{rng.choice(('My', 'Hello, my', 'The'))} {product} {', '.join((symptom, *parts))}."


def draw_screenshot(ticket: Ticket, rng: random.Random) -> Image.Image:
    """A dialog somewhere on a screen, upright or wide: a coloured bar with a code, below it a drawing."""
    width, height = rng.choice(((320, 200), (200, 320)))
    shade = rng.randrange(20, 60) if ticket.customer.dark else rng.randrange(190, 235)
    screen = Image.new("RGB", (width, height), tuple(shade + rng.randrange(-15, 16) for _ in range(3)))
    draw = ImageDraw.Draw(screen)
    left, top = rng.randrange(10, width - 170), rng.randrange(10, height - 150)
    draw.rectangle((left, top, left + 160, top + 140), fill="white", outline="black")
    draw.rectangle((left, top, left + 160, top + 40), fill=COLOURS[ticket.urgent])
    code = f"E{DEFECTS.index(ticket.defect) + 1}{rng.randrange(10)}"
    draw.text((left + 10, top + 4), code, fill="white", font=ImageFont.load_default(28))
    draw_defect(draw, ticket.defect, left + 40, top + 55)
    return screen


def draw_defect(draw: ImageDraw.ImageDraw, defect: str, x: int, y: int) -> None:
    """In 80 x 70 pixels: a striped screen, an empty battery, crossed-out waves or a loudspeaker."""
    match defect:
        case "display":
            draw.rectangle((x, y, x + 80, y + 55), fill="black")
            for stripe in range(10, 80, 20):
                draw.line((x + stripe, y, x + stripe, y + 55), fill="white", width=4)
        case "battery":
            draw.rectangle((x, y + 10, x + 70, y + 50), outline="black", width=5)
            draw.rectangle((x + 70, y + 22, x + 80, y + 38), fill="black")
            draw.rectangle((x + 8, y + 18, x + 18, y + 42), fill="red")
        case "network":
            for radius in (10, 25, 40):
                box = (x + 40 - radius, y + 50 - radius, x + 40 + radius, y + 50 + radius)
                draw.arc(box, 225, 315, fill="black", width=6)
            draw.line((x, y, x + 80, y + 60), fill="red", width=6)
        case "sound":
            draw.polygon(((x, y + 20), (x + 25, y + 20), (x + 60, y), (x + 60, y + 60), (x + 25, y + 40),
                          (x, y + 40)), fill="black")  # fmt: skip


def play_note(ticket: Ticket, rng: random.Random) -> np.ndarray:
    """Mains hum throughout; the gadget beeps, its round repeated, between two silences. Full scale = 1."""
    rounds_s = LONG_S if rng.random() < 0.1 else rng.uniform(1.5, 4)
    pause = np.zeros(round(PAUSES_S[ticket.urgent] * RATE_HZ))
    gap = np.zeros(RATE_HZ // 12)
    once = [part for hz, seconds in BEEPS[ticket.defect] for part in (tone(hz, seconds), gap)]
    one_round = np.concatenate([*once, pause])
    beeps = np.tile(one_round, max(1, round(rounds_s * RATE_HZ / len(one_round))))
    before, after = (np.zeros(round(rng.uniform(0.1, 2) * RATE_HZ)) for _ in range(2))
    wave = np.concatenate([before, beeps * rng.uniform(0.2, 0.8), after])
    return wave + rng.uniform(0.001, 0.004) * tone(ticket.customer.hum_hz, len(wave) / RATE_HZ)[: len(wave)]


def tone(hz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


if __name__ == "__main__":
    main()
