"""The rows that int8 is calibrated by: built-in texts of many kinds, their beginnings, and random ids."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from textmill.checkpoint.recipe import Recipe
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.runtimes.plans import VERSION
from textmill.runtimes.runtime import Calibration, Row

# ruff: noqa: RUF001 - texts in other scripts have letters and signs that look like Latin ones

_STRANGE_ROWS, _STRANGE_TOKENS = 64, 100
_BEGINNINGS = (1, 2, 4)
"""Words of a text that stand as texts of their own, since short texts are unlike long ones."""

TEXTS = (
    "The old lighthouse keeper climbed the narrow stairs every evening, lit the lamp, and wrote the weather into a leather book that nobody else had ever read.",
    "Quarterly revenue rose by 12.4 percent to 3.8 billion dollars, driven by strong demand for cloud services, while operating costs fell slightly compared with the same period last year.",
    "def merge(left, right):\n    result = []\n    while left and right:\n        result.append(left.pop(0) if left[0] <= right[0] else right.pop(0))\n    return result + left + right",
    "How do I reset my password if I no longer have access to the email address that I used when I signed up?",
    "best running shoes for flat feet",
    "What is the capital of Australia?",
    "Photosynthesis converts light energy into chemical energy: chlorophyll absorbs photons, water is split, oxygen is released, and carbon dioxide is fixed into sugars in the Calvin cycle.",
    "The court held that the contract was void, because the party to be charged had not signed a written memorandum as the statute of frauds requires.",
    "Preheat the oven to 180 degrees. Mix the flour, sugar and butter until the dough comes together, add two eggs, and bake for twenty-five minutes or until golden brown.",
    "I absolutely loved this film! The acting was superb, the music unforgettable, and I cried at the end. 10/10, would watch again.",
    "Terrible service. We waited ninety minutes for a cold pizza and nobody apologised. Never again!!!",
    "Patients with type 2 diabetes who received metformin had a lower risk of cardiovascular events (hazard ratio 0.79, 95% CI 0.68-0.92) than those on placebo.",
    "ERROR 2024-03-18 14:22:07 worker-3 connection refused: could not reach 10.0.0.12:5432 after 5 retries (timeout=30s)",
    "SELECT customer_id, SUM(total) AS spent FROM orders WHERE created_at >= '2023-01-01' GROUP BY customer_id HAVING SUM(total) > 1000 ORDER BY spent DESC;",
    "hello",
    "ok",
    "Thanks a lot, see you on Friday at 6 pm :-)",
    "",
    "2+2=4",
    "!!! ??? ...",
    "Der Zug nach München fährt heute wegen einer Störung an der Oberleitung mit etwa vierzig Minuten Verspätung ab.",
    "La photographe marchait le long du canal, cherchant la lumière du soir entre les façades des vieilles maisons.",
    "El gobierno anunció ayer un nuevo plan para reducir las emisiones y promover el transporte público en las grandes ciudades.",
    "Il mercato del pesce apre prima dell'alba, quando le barche tornano al porto e i gabbiani gridano sopra i moli.",
    "A biblioteca municipal ficará fechada durante o mês de agosto para obras de renovação no telhado.",
    "De fietsers wachtten bij de brug tot de boot voorbij was en reden daarna verder naar het centrum.",
    "Wczoraj wieczorem w całym mieście zabrakło prądu, więc siedzieliśmy przy świecach i opowiadaliśmy historie.",
    "Вчера вечером мы долго говорили о книгах, музыке и о том, каким будет следующее лето.",
    "今天早上下了很大的雨,所以我没有骑自行车,而是坐地铁去上班。",
    "昨日の夜、友達と一緒に映画を見て、そのあと駅前の店でラーメンを食べました。",
    "오늘은 날씨가 좋아서 친구들과 공원에서 점심을 먹고 산책을 했어요.",
    "ذهبنا إلى السوق في الصباح الباكر واشترينا الخبز والزيتون والجبن الطازج.",
    "कल शाम को बारिश के बाद आसमान में बहुत सुंदर इंद्रधनुष दिखाई दिया।",
    "Bu sabah kahvemi içerken pencereden denizi ve uzaktaki adaları seyrettim.",
    "Kirjasto on avoinna arkisin kello kahdeksasta iltakahdeksaan.",
    "The function returns a list of tuples; each tuple holds the name of the file, its size in bytes and the time of its last modification. If the folder does not exist, an exception is raised.",
    "Permission is granted to use, copy and change this program for any purpose, provided that this notice appears in all copies and that the authors are not held liable for any damage.",
    "In 1687 Isaac Newton published the Principia, which set out the laws of motion and of universal gravitation and changed the way in which people thought about the heavens.",
    "Scientists have discovered a new species of deep-sea fish that lives near hydrothermal vents at a depth of more than three thousand metres.",
    "The striker scored twice in the second half, and the home side held on for a 3-2 win that takes them to the top of the table.",
    "Install the package, set the environment variable, restart the service, and check the log: if the port is already in use you will see a message that names the process.",
    "Shakespeare's sonnets meditate on time, beauty and love; their closing couplets often turn the argument around.",
    "Interest rates are expected to stay unchanged until inflation returns to the target of two percent, the central bank said on Thursday.",
    "A neural network is trained by gradient descent: the loss is differentiated with respect to the weights, which are then moved a small step against the gradient.",
    "The theorem states that every bounded monotone sequence of real numbers converges; the proof uses the least upper bound property.",
    "Breaking: magnitude 6.1 earthquake strikes off the coast, no tsunami warning issued #earthquake #news",
    "My grandmother kept her letters in a tin box under the bed. After she died we read them one by one at the kitchen table and learned who she had been before us.",
    "Dear Sir or Madam, I am writing to apply for the position of laboratory assistant advertised on your website. I enclose my curriculum vitae and two references.",
    "https://example.org/articles/2021/05/how-to-grow-tomatoes?page=2&sort=asc#comments",
    '<div class="card"><h2>Title</h2><p>Some text with a <a href="/about">link</a>.</p></div>',
    '{"id": 4711, "name": "Widget", "price": 19.99, "tags": ["new", "sale"], "stock": null}',
    "The museum holds some nine hundred paintings from the fifteenth to the nineteenth century, among them works by Rembrandt, Vermeer and Frans Hals. It opens daily except on Mondays from ten to five.",
    "If the temperature of a gas rises at constant volume, its pressure rises in proportion; this is why a can thrown into a fire may explode.",
    "Cats sleep up to sixteen hours a day. They are most active at dawn and at dusk, when their prey is out.",
    "To change a flat tyre, loosen the nuts before you lift the car, then remove the wheel, put on the spare one, and tighten the nuts crosswise.",
    "The company shall indemnify and hold harmless the contractor from any claim arising out of the use of the deliverables, except to the extent caused by gross negligence or wilful misconduct.",
    "Mount Kilimanjaro",
    "machine learning engineer salary berlin",
    "symptoms of vitamin d deficiency in adults",
    "Who wrote the novel One Hundred Years of Solitude, and in which year was it first published?",
    "Rain tapped on the tin roof all night long. By morning the river had climbed over the meadow, and the cows stood together on the only dry hill, looking down at their own reflections.",
    "The protocol works in three phases. First each node proposes a value; then the leader collects the proposals and broadcasts the one with the highest number; finally the nodes acknowledge it, and the value is committed once a majority has answered. If the leader fails, a new election begins after a random delay, so that two candidates rarely collide.",
    "Unemployment among young people remains high in the south of the country, although the number of apprenticeships has grown for the third year in a row. Economists point to a lack of housing near the jobs, poor transport and schools that do not teach what firms are looking for. The ministry has promised a programme worth forty million euros, but mayors say that it comes too late.",
    "She had never seen snow before. It fell without any sound, on the cars, on the fence, on the dog, who looked up as if somebody had called his name.",
    "Water boils at 100 °C at sea level, but at 93 °C in a town 2,000 metres up; that is why pasta takes longer in the mountains.",
    "The API accepts at most 100 requests per minute. Beyond that it answers with status 429 and a Retry-After header; clients should wait and try again with exponential backoff.",
)
"""Texts of many languages, lengths and kinds, written for this."""


def calibration(recipe: Recipe, tokenizer: Tokenizer, digest: str, folder: Path) -> Calibration:
    """The rows for a model, and the file below ``folder`` that keeps what was made of them.

    ``digest`` is the hash of the model's weights; it, the heads and the rows name the file.
    """
    words = [text.split() for text in TEXTS]
    texts = [*TEXTS, *(" ".join(each[:count]) for each in words for count in _BEGINNINGS if len(each) > count)]
    encoded = tokenizer.encode(texts, max_tokens=min(recipe.max_tokens, 512), truncate=True)
    rows = [Row(item.ids) for item in encoded if len(item.ids)]
    rng = np.random.default_rng(0)
    room = min(_STRANGE_TOKENS, recipe.max_tokens - tokenizer.specials)
    lengths = rng.integers(1, room + 1, _STRANGE_ROWS)
    bodies = [rng.integers(0, recipe.vocabulary, length).astype(np.int32) for length in lengths]
    strange = [Row(tokenizer.dress(body)) for body in bodies]
    parts = (
        VERSION,
        digest,
        repr(recipe.outputs),
        repr(dict(recipe.config)),
        *(row.ids.tobytes().hex() for row in rows),
    )
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    return Calibration(rows, strange, folder / "int8" / f"{name}.safetensors")
