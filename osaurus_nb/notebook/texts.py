"""What the magics say at length, as Markdown. Never a key."""

from __future__ import annotations

HELP = """\
**Ask** in a cell, or on a line:

```
%%osaurus -m MODEL
Explain {{topic}} in one sentence.
```
```
%osaurus ask What is a monad?
reply = %osaurus ask -t 0 Name a colour
```

Options: `-m MODEL`, `-s "system prompt"`, `-t 0.7`, `--max-tokens N`, `--seed N`, `--fallback MODEL`, \
`--max-cost 0.05`, `--profile NAME` (which chooses the model), \
`--mode fast|balanced|best|local-first|local-strict|realtime`, `--private` (stays on this machine and its networks), \
`--chat` (a turn of the running conversation), `--new` (a new one), \
`-o NAME` or `-> NAME` (keep the Reply; so does `_`). \
`{{expression}}` puts a Python value into the prompt; all other braces stay.

| command | what it does |
|---|---|
| `%osaurus models` | lists every model that can be named |
| `%osaurus use NAME` | chooses who answers when none is named |
| `%osaurus retry` | asks the last question again, as a new step; with other options, e.g. `--max-tokens 2000` |
| `%osaurus route QUESTION` | says who would answer and why, asking nobody; alone: why it was who answered last |
| `%osaurus private on`, `off` | keeps every question of this notebook on this machine and its networks |
| `%osaurus chat on`, `off`, `reset` | makes each cell a turn of one conversation |
| `%osaurus status` | how each provider is doing |
| `%osaurus doctor NAME` | what is wrong with a provider, step by step; `--token` asks a word, `--report` for an issue |
| `%osaurus providers` | lists remote providers; `add NAME --url URL`, `edit`, `remove`, `presets` |
| `%osaurus key NAME` | asks for a provider's key without showing it, and keeps it in the vault |
| `%osaurus vault` | where keys are kept; `unlock`, `keep keychain`, `keep passphrase` |
| `%osaurus identity` | who you are to the Router; `create`, `restore`, `keys`, `wipe` |
| `%osaurus route replay` | what all in the ledger would have cost: `--profile NAME`, `--prices FILE`, `--last 7d` |
| `%osaurus router` | the Router's balance and usage; `checkout AMOUNT` |
| `%osaurus usage` | what was spent today, in this notebook and by the last run of a cell |
| `%osaurus ledger` | the last calls and what each cost; `--by cell`, `--last 7d`, `--orphans` |
| `%osaurus profiles` | ways to choose a model: `list`, `show frontier`, `lint` checks them beside the models at hand |
| `%osaurus budget` | how much may be spent; `day 5`, `notebook 2`, `cell 0.50`, `request 0.10`, `off` |
| `%osaurus endpoint` | how other programs reach these models |
| `%osaurus pull` | fetches the embedded model |

Interrupt the kernel to stop an answer; what came is kept.
"""

EMBEDDED = """\
There is no server: the models answer inside this kernel.

To reach them from other programs run `jupyter osaurus` in a terminal. It prints an address and a key. \
Inside JupyterLab with the extension enabled, every new kernel is connected by itself.
"""

_SNIPPETS = """\
With the openai SDK:

```python
import os
from openai import OpenAI

client = OpenAI(base_url={url}, api_key={key})
client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}])
```

With curl, in a terminal that has the same two variables:

```sh
curl "$OSAURUS_URL/v1/chat/completions" \\
  -H "Authorization: Bearer $OSAURUS_KEY" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
```

The key is in this kernel's environment. It opens these models and nothing else of Jupyter.
"""


def snippets(url: str, key: str, model: str) -> str:
    """How to reach the server: `url` and `key` are Python expressions."""
    return _SNIPPETS.format(url=url, key=key, model=model)
