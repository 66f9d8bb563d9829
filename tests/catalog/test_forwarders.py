"""Promises about models that only seem to be here."""

from __future__ import annotations

import pytest

from osaurus_nb.catalog.forwarders import forwards
from osaurus_nb.models import ModelCard
from osaurus_nb.wire import ollama_chat, openai_chat


@pytest.mark.parametrize("id", ["gpt-oss:120b-cloud", "glm-4.6:cloud", "Qwen3-Coder:480B-Cloud"])
def test_a_cloud_tag_is_believed(id: str) -> None:
    """Ollama answers these elsewhere, from whatever machine they are asked."""
    assert forwards(ModelCard(id, "ollama", "loopback"))


@pytest.mark.parametrize("id", ["llama3.2:3b", "cloud", "my-cloud", "cloudy:1b"])
def test_the_word_alone_is_no_tag(id: str) -> None:
    """A model that is only called so stays here."""
    assert forwards(ModelCard(id, "ollama", "loopback")) is None


def test_a_model_of_this_machine_is_never_a_forwarder() -> None:
    """Whatever its folder is called."""
    assert forwards(ModelCard("x:cloud", "local", "process")) is None


def test_a_remote_host_in_the_list_is_read() -> None:
    """A copy under another name is still answered where its original is."""
    row = {"model": "mine", "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}
    card, plain = ollama_chat.decode_models({"models": [row, {"model": "llama3.2:3b"}]}, "ollama")

    assert "ollama.com" in (forwards(card) or "")
    assert forwards(plain) is None


def test_a_gateway_of_ours_says_whom_it_asks() -> None:
    """Its cloud models are not local because it is."""
    rows = [
        {"id": "openai/gpt-5", "owned_by": "openai", "osaurus": {"endpoint": "cloud"}},
        {"id": "smollm2", "owned_by": "local", "osaurus": {"endpoint": "process"}},
    ]
    cloud, here = openai_chat.decode_models({"data": rows}, "peer")

    assert "openai" in (forwards(cloud) or "")
    assert forwards(here) is None


def test_the_router_passes_all_on() -> None:
    """Also one of your own on this machine."""
    assert forwards(ModelCard("x", "osaurus", "loopback"))
