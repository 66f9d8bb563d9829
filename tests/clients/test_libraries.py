"""Python libraries and the `llm` command, pointed at our real server and changed in address, key and model alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.workbench import PYTHON, Workbench

SCRIPTS = Path(__file__).parent / "scripts"
DOCUMENT = Path(__file__).parents[2] / "docs/clients.md"
#: The models of `llm`, as `docs/clients.md` shows them; MODEL is any name that `osaurus-nb` lists.
LLM = """\
- model_id: osaurus
  model_name: MODEL
  api_base: http://127.0.0.1:1337/osaurus/v1
  api_key_name: osaurus
  supports_tools: true
  supports_schema: true
  vision: true
"""
FUNCTION = "def add(a: int, b: int) -> int:\n    return a + b\n"
PET = {"name": "something", "age": 1}


@pytest.fixture
def llm(bench: Workbench):
    """`llm` with our endpoint among its models."""
    bench.prepare({"llm/extra-openai-models.yaml": LLM.replace("MODEL", "gpt-obedient")})
    env = {"LLM_USER_PATH": str(bench.home / "llm")}
    bench.run(PYTHON / "llm", "keys", "set", "osaurus", "--value", "osk_live_…", env=env)
    return lambda *arguments: bench.run(PYTHON / "llm", *arguments, env=env)


@pytest.mark.nightly
def test_llm_asks_streams_calls_and_shapes(llm, obedient):
    """`llm` prints streamed and whole answers, runs a function of the user's, gets JSON of a schema and logs usage."""
    streamed = llm("-m", "osaurus", "Count from 1 to 5.")
    whole = llm("-m", "osaurus", "--no-stream", "Count from 1 to 5.")
    called = llm("-m", "osaurus", "--functions", FUNCTION, 'Call add {"a": 2, "b": 40}')
    shaped = llm("-m", "osaurus", "--schema", "name,age int", "A dog")

    assert streamed.strip() == whole.strip() == "1 2 3 4 5"
    assert [request.delivery.stream for request in obedient.requests[:2]] == [True, False]
    assert called.strip() == "The tool answered: 42"
    assert json.loads(shaped) == PET
    logged = json.loads(llm("logs", "--count", "0", "--json"))
    assert [entry["output_tokens"] for entry in logged if entry["prompt"].startswith("Count")] == [5, 5]


@pytest.mark.nightly
@pytest.mark.model
def test_llm_is_answered_by_the_embedded_model(embedded_home, tmp_path):
    """A real model, `jupyter osaurus` as a user starts it, and a client that knows neither."""
    env = {**os.environ, "OSAURUS_HOME": str(embedded_home), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = [Path(sys.executable).parent / "jupyter-osaurus", "--port", "0", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        bench = Workbench(tmp_path, ready["url"], ready["key"])
        bench.prepare({"llm/extra-openai-models.yaml": LLM.replace("MODEL", "smollm2-135m-instruct")})
        user = {"LLM_USER_PATH": str(bench.home / "llm")}

        options = ("-m", "osaurus", "--key", "osk_live_…", "-o", "temperature", "0", "-o", "max_tokens", "20")
        answer = bench.run(PYTHON / "llm", *options, "What is the capital of France?", env=user)
        server.terminate()

    assert "Paris" in answer


@pytest.mark.nightly
def test_langchain_asks_streams_calls_and_shapes(bench):
    """LangChain's ChatOpenAI gets text, chunks with usage, a tool's result, a typed object, and Responses."""
    bench.prepare({})

    found = json.loads(bench.run(PYTHON / "python", str(SCRIPTS / "with_langchain.py"), env={"OSAURUS_URL": bench.url}))

    assert found["whole"] == found["streamed"] == found["responses"] == "1 2 3 4 5"
    assert found["chunks"] == 5
    assert found["usage"] == 5
    assert found["streamed usage"] == [5]
    assert found["tool"] == "The tool answered: 42"
    assert found["shape"] == PET


@pytest.mark.nightly
def test_pydantic_ai_asks_streams_calls_and_shapes(bench):
    """Agents on both of OpenAI's interfaces get text, chunks, usage, a tool's result and a typed object."""
    bench.prepare({})

    script = str(SCRIPTS / "with_pydantic_ai.py")
    found = json.loads(bench.run(PYTHON / "python", script, env={"OSAURUS_URL": bench.url}))

    assert list(found) == ["OpenAIChatModel", "OpenAIResponsesModel"]
    for answers in found.values():
        assert answers["whole"] == answers["streamed"] == "1 2 3 4 5"
        assert (answers["usage"], answers["chunks"]) == (5, 5)
        assert answers["tool"] == "The tool answered: 42"
        assert answers["shape"] == PET


def test_the_settings_of_llm_are_those_that_are_documented():
    """A reader of our documentation copies what was tested, to the letter."""
    assert LLM in DOCUMENT.read_text()
