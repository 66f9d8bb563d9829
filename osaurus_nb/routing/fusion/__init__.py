"""Fusion: several models answer the same question side by side, and a judge makes one answer of what they say.

`asked`      whether a question wants it, by name, by marker or by what it is about
`panel`      who is asked, what each is asked, and what share of a budget is whose
`agreement`  how much answers say the same, by their words alone
`brief`      what the judge is given, and how its findings are read
`purse`      what all of it costs together
`walker`     asks them, stops when enough agree, and has the answer judged

All but the walker and the purse are pure. Nothing here writes down a word of an answer.
"""
