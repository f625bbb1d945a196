"""Writes texts.jsonl: the texts whose likelihood the CPU model must get right.

All were written for this project. The long ones are put together from short clauses by a fixed
recipe, so that they need no source. Usage: python texts.py > texts.jsonl
"""

import json

SHORT = {
    "one-letter": "a",
    "one-space": " ",
    "one-word": "Sluice",
    "one-newline": "\n",
    "english": "The river drops its gold where the water slows. A riffle is no more than a bar across the "
    "sluice, and yet it decides what stays and what is washed away.",
    "english-list": "Things to pack:\n- a pan, dented but clean\n- two sieves (coarse, fine)\n- gloves\n- "
    "patience; it's the only tool you can't buy.\n",
    "german": "Wer im Fluss nach Gold sucht, braucht Geduld. Größere Körner bleiben früh liegen, die feinen "
    "erst dort, wo das Wasser müde wird – und manchmal auch gar nicht.",
    "french": "L'été dernier, nous avons remonté la rivière jusqu'à sa source ; l'eau y était si froide "
    "qu'aucun de nous n'osa s'y baigner.",
    "spanish": "¿Quién midió el caudal? Nadie lo sabía, pero el cuaderno decía: «cuarenta litros por segundo, "
    "más o menos».",
    "polish": "Źródło było ukryte w gęstym lesie; ścieżka, którą szliśmy, kończyła się przy starym młynie.",
    "turkish": "Irmağın kıyısında küçük bir kulübe vardı; içinde yalnızca bir masa, iki sandalye ve sönük bir "
    "lamba duruyordu.",
    "vietnamese": "Dòng sông chảy chậm qua cánh đồng, và mỗi buổi sáng người ta lại ra bến đếm những chiếc "
    "thuyền.",
    "russian": "Вода уносит песок, а тяжёлые крупинки остаются на дне. Так было сто лет назад, так будет и "
    "завтра.",
    "greek": "Το ποτάμι κατεβαίνει από το βουνό και κανείς δεν θυμάται πότε στέρεψε τελευταία φορά.",
    "arabic": "يجري النهر ببطء عبر الوادي، وعلى ضفته رجل عجوز يغسل الرمل منذ الفجر.",
    "hebrew": "הנהר זורם לאט, והאבנים בקרקעיתו חלקות מרוב שנים.",
    "hindi": "नदी के किनारे एक पुराना पेड़ है, जिसके नीचे बैठकर लोग पानी की आवाज़ सुनते हैं।",
    "thai": "แม่น้ำไหลช้าในฤดูแล้ง และเด็กๆ ลงไปเล่นน้ำทุกเย็น",
    "chinese": "河水在这里慢下来，沙子沉到底，金子也沉到底。淘金的人说，耐心比力气更重要。",
    "japanese": "川の流れが緩むところに、重い粒だけが残る。ザルを揺らす音が、朝から晩まで谷に響いていた。",
    "korean": "강물이 느려지는 곳에 무거운 알갱이가 남는다. 노인은 하루 종일 모래를 씻었다.",
    "python": "def sieve(grains, mesh):\n    \"\"\"Keep what does not fall through.\"\"\"\n    kept = []\n    for "
    "grain in grains:\n        if grain.size >= mesh:\n            kept.append(grain)\n    return kept\n",
    "rust": "impl Sluice {\n    pub fn flow(&mut self, litres: u64) -> Result<u64, Overflow> {\n        "
    "self.level = self.level.checked_add(litres).ok_or(Overflow)?;\n        Ok(self.level / 2)\n    }\n}\n",
    "html": "<table class=\"yield\">\n\t<tr><th>Day</th><th>Grams</th></tr>\n\t<tr><td>1</td><td>0.37</td>"
    "</tr>\n</table>\n<!-- measured by hand -->",
    "digits": "2026-11-22 14:05:09.250 | 0.3333333 | 1,234,567 | 8.5e-12 | 00420 | 3¾ | ٣٤٥ | १२३",
    "emoji": "Gold! 🥇✨ Or just pyrite? 🤷🏽‍♀️👩‍👩‍👧‍👦🇺🇳 … ☕️",
    "spaces": "  two\t\ttabs,   three spaces,\n\n\n three lines \r\n and    a tail of blanks     ",
    "separator-spelled-out": "A page may say <|endoftext|> or <|im_start|>user in plain words; it is text.",
    "repeated": "drip " * 60,
    "mixed-scripts": "Total: 42 km², 東京→Berlin, naïve café, x₁+x₂≤½, ﬁne print, e\u0301 vs é, A\u200bB.",
    "url": "https://example.org/~amy/notes?id=0x7fA3&lang=pt-BR#section-2.1_(draft)",
}

SUBJECTS = ["The miller", "A heron", "Every second boat", "The lock keeper's daughter", "Nobody",
            "An old survey", "The flood of that spring", "Our guide"]
VERBS = ["measured", "remembered", "crossed", "had never seen", "drew a map of", "argued about",
         "watched over", "lost"]
OBJECTS = ["the upper weir", "three broken oars", "the narrow channel", "a sack of wet grain",
           "the bridge at noon", "an unmarked stone", "the colour of the water", "the ferry's bell"]
ENDINGS = [".", ", or so the ledger says.", "; then it rained.", " before the frost.", "!",
           " (twice, in fact).", " and said nothing.", ", though the price was high."]


def long_text(sentences, seed):
    """Sentences drawn by a linear congruential generator, with a blank line after each seventh."""
    state, text = seed, ""
    for number in range(sentences):
        for words in (SUBJECTS, VERBS, OBJECTS, ENDINGS):
            state = (state * 1103515245 + 12345) % 2**31
            text += words[state >> 16 & 7] + (" " if words is not ENDINGS else "")
        text += "\n\n" if number % 7 == 6 else " "
    return text


def table(rows):
    """A table of numbers, as web pages have them."""
    lines = [f"{n:04d}\t{n * n % 97}\t{n * 7 % 100 / 10:.1f} m\t{'open' if n % 3 else 'shut'}" for n in range(rows)]
    return "gate\tflow\tlevel\tstate\n" + "\n".join(lines) + "\n"


def texts():
    """All texts by name, in a fixed order."""
    return SHORT | {
        "long-700": long_text(52, 1),
        "long-2100": long_text(160, 2),
        "long-table": table(115),
        "long-letters": "".join(chr(97 + n * n * 7 % 26) for n in range(1500)),
    }


if __name__ == "__main__":
    for name, text in texts().items():
        print(json.dumps({"name": name, "text": text}, ensure_ascii=False))
