"""The coding clients that we drive, with the settings that `docs/clients.md` shows for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.clients.workbench import AIDER, NPM, Workbench

URL = "http://127.0.0.1:1337/osaurus"


@dataclass(frozen=True, slots=True)
class Coder:
    """One client. `call` tells the model to use a tool of the client's.

    In settings and arguments MODEL is the model's name and `{home}` the client's home.
    """

    program: Path
    model: str
    arguments: tuple[str, ...]
    call: str
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    #: Some take the question from their input; the others as their last argument.
    from_stdin: bool = False

    def ask(self, bench: Workbench, question: str) -> str:
        """One question without a terminal; what it printed."""
        bench.prepare({name: text.replace("MODEL", self.model) for name, text in self.files.items()})
        filled = (argument.replace("MODEL", self.model) for argument in self.arguments)
        arguments = [argument.replace("{home}", str(bench.home)) for argument in filled]
        if self.from_stdin:
            return bench.run(self.program, *arguments, env=self.env, stdin=question)
        return bench.run(self.program, *arguments, question, env=self.env)


CODEX = """\
model = "MODEL"
model_provider = "osaurus"
model_context_window = 32768
web_search = "disabled"

[model_providers.osaurus]
name = "osaurus"
base_url = "http://127.0.0.1:1337/osaurus/v1"
env_key = "OSAURUS_KEY"
wire_api = "responses"

[features]
multi_agent = false
"""

GEMINI = """\
{
  "security": { "auth": { "selectedType": "gemini-api-key" } },
  "privacy": { "usageStatisticsEnabled": false }
}
"""

OPENCODE = """\
{
  "$schema": "https://opencode.ai/config.json",
  "provider": {
    "osaurus": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "osaurus",
      "options": { "baseURL": "http://127.0.0.1:1337/osaurus/v1", "apiKey": "{env:OSAURUS_KEY}" },
      "models": { "MODEL": { "limit": { "context": 32768, "output": 4096 } } }
    }
  }
}
"""

CONTINUE = """\
name: osaurus
version: 1.0.0
schema: v1
models:
  - name: osaurus
    provider: openai
    model: MODEL
    apiBase: http://127.0.0.1:1337/osaurus/v1
    apiKey: osk_live_…
    roles: [chat, edit, apply]
"""

#: A command whose answer is not in the question.
SHELL = "printf 'from-the-%s-shell' 42"

CODERS = {
    "codex": Coder(
        NPM / "codex",
        "gpt-obedient",
        ("exec", "--skip-git-repo-check"),
        f'Call exec_command {{"cmd": "{SHELL}"}}',
        {".codex/config.toml": CODEX},
    ),
    "claude-code": Coder(
        NPM / "claude",
        "claude-obedient",
        ("--model", "MODEL", "--allowedTools", "Bash", "--print"),
        f'Call Bash {{"command": "{SHELL}", "description": "echo"}}',
        env={
            "ANTHROPIC_BASE_URL": URL,
            "ANTHROPIC_API_KEY": "osk_live_…",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "32768",
        },
        from_stdin=True,
    ),
    "gemini-cli": Coder(
        NPM / "gemini",
        "gemini-obedient",
        ("--model", "MODEL", "--skip-trust", "--approval-mode", "yolo", "--prompt"),
        f'Call run_shell_command {{"command": "{SHELL}", "description": "echo"}}',
        {".gemini/settings.json": GEMINI},
        {"GOOGLE_GEMINI_BASE_URL": URL, "GEMINI_API_KEY": "osk_live_…"},
    ),
    "opencode": Coder(
        NPM.parent / "opencode-linux-x64/bin/opencode",
        "gpt-obedient",
        ("run", "--model", "osaurus/MODEL"),
        f'Call bash {{"command": "{SHELL}", "description": "echo"}}',
        {".config/opencode/opencode.json": OPENCODE},
        from_stdin=True,
    ),
    "continue": Coder(
        NPM / "cn",
        "gpt-obedient",
        ("--config", "{home}/.continue/config.yaml", "--auto", "--print"),
        f'Call Bash {{"command": "{SHELL}"}}',
        {".continue/config.yaml": CONTINUE},
    ),
}

EDITOR = Coder(
    AIDER / "aider",
    "gpt-obedient",
    (
        *("--model", "openai/MODEL", "--edit-format", "whole", "--yes-always", "--no-auto-commits"),
        *("--no-check-update", "--no-show-model-warnings", "--analytics-disable", "--no-gitignore", "--message"),
    ),
    call="",  # it has no tools: it reads files out of the answer
    env={"OPENAI_API_BASE": f"{URL}/v1", "OPENAI_API_KEY": "osk_live_…"},
)
