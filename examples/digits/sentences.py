"""Sentences that mention a digit, in Chinese and English; no template stands in two splits.

A tenth of the sentences names no digit, as people do who only ask what they see.
"""

from __future__ import annotations

import random

WORDS = {
    "zh": ("零", "一", "二", "三", "四", "五", "六", "七", "八", "九"),
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}
FORMAL = ("〇", "壹", "贰", "叁", "肆", "伍", "陆", "柒", "捌", "玖")
VAGUE_SHARE = 0.1

TEMPLATES = {
    ("train", "zh"): (
        "{}",
        "这是{}",
        "我写了一个{}",
        "图上写的是{}",
        "请看数字{}",
        "答案是{}。",
        "他说的是{}",
        "数字{}",
        "我刚才说了{}",
        "你听到{}了吗？",
        "这个数是{}吧",
        "应该读作{}",
        "我画的是一个{}",
        "上面有个{}",
        "她在纸上写下{}。",
        "老师念的是{}",
        "电话的最后一位是{}",
        "第{}号",
        "选{}",
        "一共有{}个苹果",
        "门牌号是{}",
        "今天是星期{}还是别的？",
        "密码里有{}",
        "把{}圈出来",
        "这一页的页码是{}",
        "我要{}张票",
        "还差{}分钟",
        "比赛得了{}分",
        "他的球衣是{}号",
        "写的好像是{}，对吗？",
    ),
    ("train", "en"): (
        "{}",
        "this is {}",
        "I wrote a {}",
        "the picture shows {}",
        "look at the digit {}",
        "the answer is {}.",
        "he said {}",
        "digit {}",
        "I just said {}",
        "did you hear {}?",
        "that number is {}, right?",
        "it should be read as {}",
        "what I drew is a {}",
        "there is a {} on it",
        "She put down {} on paper.",
        "the teacher reads {}",
        "the last figure of the phone number is {}",
        "No. {}",
        "choose {}",
        "we have {} apples",
        "the house number is {}",
        "my lucky number is {}",
        "the code contains a {}",
        "draw a circle around the {}",
        "page {}",
        "I need {} tickets",
        "{} minutes left",
        "they scored {} points",
        "he wears shirt number {}",
        "it looks like a {} to me",
        "A handwritten {}",
        "{}!",
        "Maybe {}?",
    ),
    ("validation", "zh"): (
        "黑板上是{}",
        "我选的数字是{}。",
        "听起来像{}",
        "最后剩下{}个",
        "请输入{}",
        "这里手写着{}",
    ),
    ("validation", "en"): (
        "the board says {}",
        "the digit I picked is {}.",
        "it sounds like {}",
        "only {} remain",
        "please type {}",
        "somebody scribbled {} here",
    ),
    ("test", "zh"): (
        "纸条上记着{}",
        "我觉得是{}",
        "这张照片里是{}",
        "录音里念了{}",
        "房间号是{}",
        "他伸出{}根手指",
        "请按{}键",
        "您的号码是{}，请稍等",
    ),
    ("test", "en"): (
        "the note reads {}",
        "I think it is {}",
        "in this photo you see {}",
        "the recording says {}",
        "the room is {}",
        "she holds up {} fingers",
        "press {} now",
        "Your number is {}, please wait.",
    ),
}
VAGUE = {
    ("train", "zh"): ("这是什么数字？", "请看图", "我写的是什么", "听一下这段录音"),
    ("train", "en"): (
        "which digit is this?", "please look at the picture", "what did I write", "listen to this clip",
    ),
    ("validation", "zh"): ("猜猜看", "图里是几"),
    ("validation", "en"): ("take a guess", "can you read my writing"),
    ("test", "zh"): ("你认得这个数吗", "看不清楚"),
    ("test", "en"): ("do you recognise it", "tell me the number please"),
}  # fmt: skip


def make_sentence(digit: int, split: str, rng: random.Random) -> tuple[str, str]:
    """A sentence and its language."""
    language = rng.choice(("zh", "en"))
    if rng.random() < VAGUE_SHARE:
        return rng.choice(VAGUE[split, language]), language
    template = rng.choice(TEMPLATES[split, language])
    return template.format(_write_digit(digit, language, rng)), language


def _write_digit(digit: int, language: str, rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.35:
        return str(digit)
    if language == "en":
        word = WORDS["en"][digit]
        return word.capitalize() if draw > 0.9 else word
    return FORMAL[digit] if draw > 0.93 else WORDS["zh"][digit]
