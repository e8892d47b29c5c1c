"""What a drawing says, in each language that it speaks. Braces are filled by str.format."""

from __future__ import annotations

from dataclasses import dataclass

from triad_serving.contract.language import Language
from triad_serving.inference.answer import Relation


@dataclass(frozen=True, kw_only=True)
class Phrases:
    language: Language
    title: str
    model: str
    medium: str
    label: str
    no_label: str
    nothing_heard: str
    heard: str
    probability: str
    attention: str
    shapley: str
    as_sent: str
    attention_on: str
    drop_of: str
    less: str
    more: str
    against: str
    speaks_for: str
    attention_legend: str
    drop_legend: str
    explained: str
    explained_value: str
    adds_up: str
    interaction: str
    relations: dict[Relation, str]
    abstained: str
    more_labels: str
    more_tasks: str
    no_font: str


ENGLISH = Phrases(
    language="en",
    title="What the model looked at",
    model="model {name}, version {version}",
    medium="medium",
    label="label",
    no_label="none",
    nothing_heard="nothing",
    heard="what was heard, and when: the darker, the surer",
    probability="probability",
    attention="attention",
    shapley="Shapley value",
    as_sent="as sent",
    attention_on="attention: {share} of all lies here, {most} on the brightest part",
    drop_of="drop without each part, the largest {largest}",
    less="least",
    more="most",
    against="against the answer",
    speaks_for="for the answer",
    attention_legend="Attention: the brighter, the more; scaled to the most attended part of each medium.",
    drop_legend="Drop: how far the answer falls without a part (orange) or rises without it (purple).",
    explained="Explained: the probability of {target}.",
    explained_value="Explained: the value.",
    adds_up="Without any medium it is {baseline}; the media's Shapley values lead from there to {total}.",
    interaction="{one} and {other} {relation} ({value}).",
    relations={
        "contradict": "contradict each other",
        "overlap": "agree, so that one adds little to the other",
        "add up": "each add their own",
        "complete": "say more together than each alone",
    },
    abstained="The model abstains: it is not sure enough of this.",
    more_labels="{count} more labels are not shown.",
    more_tasks="{count} more tasks are not shown; the JSON answer has them.",
    no_font="The machine that drew this has no font for some characters: they are drawn as ?, or in English. "
    "Ask for text/html, or install one there: for Chinese, Noto Sans CJK, WenQuanYi or Droid Sans Fallback.",
)

CHINESE = Phrases(
    language="zh",
    title="模型看了哪里",
    model="模型 {name}，版本 {version}",
    medium="媒体",
    label="标签",
    no_label="无",
    nothing_heard="无",
    heard="听到的内容及时刻：颜色越深，把握越大",
    probability="概率",
    attention="注意力",
    shapley="沙普利值",
    as_sent="原图",
    attention_on="注意力：全部的 {share} 在此，最亮处 {most}",
    drop_of="去掉各部分后的下降：最大 {largest}",
    less="最少",
    more="最多",
    against="反对该答案",
    speaks_for="支持该答案",
    attention_legend="注意力：越亮越多；以每种媒体中最受注意的部分为最亮。",
    drop_legend="下降：去掉该部分后，答案的概率（或数值）下降（橙色）或上升（紫色）多少。",
    explained="所解释的：{target} 的概率。",
    explained_value="所解释的：数值。",
    adds_up="没有任何媒体时为 {baseline}；加上各媒体的沙普利值，得到 {total}。",
    interaction="{one}与{other}{relation}（{value}）。",
    relations={
        "contradict": "互相矛盾",
        "overlap": "说法一致，彼此补充不多",
        "add up": "各自起作用，互不影响",
        "complete": "合起来比各自单独更有说服力",
    },
    abstained="模型弃答：对此把握不足。",
    more_labels="另有 {count} 个标签未显示。",
    more_tasks="另有 {count} 个任务未显示，见 JSON 答案。",
    no_font="生成此图的机器缺少某些字符的字体，这些字符画成 ?。请改用 text/html，或在该机器上安装字体，"
    "例如 Noto Sans CJK、文泉驿或 Droid Sans Fallback。",
)

PHRASES: dict[Language, Phrases] = {"en": ENGLISH, "zh": CHINESE}
