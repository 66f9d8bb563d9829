"""What a turn is about: golden examples, misleading words, the whole turn, and that nothing can hurt it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osaurus_nb.messages import Media, Text, ToolCall, assistant, system, tool_result, user
from osaurus_nb.request import ChatRequest, Tool
from osaurus_nb.routing.intent import LABELS, LEVELS, Intent, classify, reasons

GOLDEN = [
    ("code", "Write a Python script that renames all files in a folder to lower case."),
    ("code", "Warum stürzt mein Programm mit einer NullPointerException ab?"),
    ("code", "Écris une requête SQL qui compte les commandes par client."),
    ("code", "¿Por qué falla esta consulta SQL con un error de sintaxis?"),
    ("code", "Implemente uma função em JavaScript que valide um CPF."),
    ("code", "Scrivi uno script bash che cancelli i file più vecchi di una settimana."),
    ("code", "用Java写一个线程安全的队列"),
    ("code", "PythonでJSONファイルを読み込む関数を書いて"),
    ("code", "Напиши скрипт на Python, который скачивает файлы по списку."),
    ("chat", "Hi there, how was your weekend?"),
    ("chat", "Welches Restaurant in Hamburg empfiehlst du für ein Abendessen mit Freunden?"),
    ("chat", "Quelle est la capitale du Canada ?"),
    ("chat", "Hola, ¿qué tal tu fin de semana?"),
    ("chat", "Oi, bom dia! Como vai?"),
    ("chat", "Ciao, come va oggi?"),
    ("chat", "周末去哪里旅行比较好？"),
    ("chat", "おはようございます。今日の天気はどうですか？"),
    ("chat", "Что приготовить на ужин для друзей?"),
    ("reasoning", "Prove that the product of two odd numbers is odd."),
    ("reasoning", "Wie groß ist die Wahrscheinlichkeit, zweimal hintereinander eine Sechs zu würfeln?"),
    ("reasoning", "Démontre que la racine carrée de 5 est irrationnelle."),
    ("reasoning", "Compara las ventajas y desventajas de alquilar o comprar y justifica tu conclusión."),
    ("reasoning", "Calcule a probabilidade de tirar duas caras em três moedas."),
    ("reasoning", "Dimostra che la somma di due numeri pari è pari."),
    ("reasoning", "证明：两个奇数的和是偶数。"),
    ("reasoning", "サイコロを3回投げて全部偶数になる確率を求めてください"),
    ("reasoning", "Докажи, что сумма двух нечётных чисел чётна."),
    ("creative", "Write a short poem about the sea at night."),
    ("creative", "Erfinde eine Geschichte über einen Drachen, der Angst vor Feuer hat."),
    ("creative", "Écris une chanson sur un chat qui rêve de voyager."),
    ("creative", "Escribe un poema sobre la luna."),
    ("creative", "Escreva um conto sobre um pescador e uma sereia."),
    ("creative", "Inventa una favola con un lupo gentile."),
    ("creative", "写一个关于龙的童话故事"),
    ("creative", "海をテーマに短い詩を書いて"),
    ("creative", "Сочини сказку про храброго зайца."),
    ("refactor", "Refactor this class to remove the duplication, without changing its behaviour."),
    ("refactor", "Vereinfache diese verschachtelte Funktion, das Verhalten muss gleich bleiben."),
    ("refactor", "Refactorise cette classe pour supprimer la duplication."),
    ("refactor", "Refactoriza este método para que sea más legible."),
    ("refactor", "Refatore esta classe para remover a duplicação."),
    ("refactor", "Semplifica questa funzione senza cambiare il comportamento."),
    ("refactor", "重构这个类，消除重复代码，行为不变"),
    ("refactor", "このクラスを動作を変えずにリファクタリングして"),
    ("refactor", "Отрефактори этот класс, чтобы убрать дублирование."),
    ("documentation", "Write a docstring for this function."),
    ("documentation", "Schreibe eine Dokumentation für unsere REST-Schnittstelle mit Beispielen."),
    ("documentation", "Rédige le README de cette bibliothèque."),
    ("documentation", "Escribe la documentación de esta API con ejemplos."),
    ("documentation", "Escreva a documentação deste módulo."),
    ("documentation", "Scrivi la documentazione di questo modulo."),
    ("documentation", "为这个项目写一份README文档"),
    ("documentation", "このモジュールのドキュメントを書いて"),
    ("documentation", "Напиши документацию к этому модулю."),
]

MISLEADING = [
    ("creative", "Write a poem about Python."),
    ("chat", "What is the function of the lungs?"),
    ("chat", "Who taught the class of 1999 at our school?"),
    ("chat", "How do I draw a tree of the family for grandma's birthday?"),
    ("code", "Recode the answers in my dataframe: yes to 1 and no to 0."),
    ("code", "Write a program that prints a random haiku."),
    ("code", "Fix the bug in the story class: the method get_chapter raises IndexError."),
    ("chat", 'Translate into German: "The function returns null when the list is empty."'),
    ("creative", "Schreibe ein Gedicht über einen Programmierer und seinen Compiler."),
    ("creative", "写一首关于程序员的诗"),
    ("code", "詩をランダムに表示するプログラムを書いて"),
]


def label(text: str) -> str:
    return classify(text).label


@pytest.mark.parametrize(("wanted", "text"), GOLDEN)
def test_each_label_is_found_in_each_language(wanted: str, text: str):
    """A plain example of every label is told in all nine languages."""
    intent = classify(text)

    assert intent.label == wanted
    assert intent.complexity in LEVELS


@pytest.mark.parametrize(("wanted", "text"), MISLEADING)
def test_words_that_point_elsewhere_do_not_mislead(wanted: str, text: str):
    """What is asked for counts, not a word that occurs in it."""
    assert label(text) == wanted


@pytest.mark.parametrize("text", ["", " \n\t", "hmm", "42", "asdf", "...", "fix it", "继续", "the other one", "\x00"])
def test_what_says_nothing_is_unknown(text: str):
    """Silence, noise and bare follow-ups get no label and no complexity."""
    intent = classify(text)

    assert intent.label == intent.complexity == "unknown"


def test_both_labels_are_given():
    """The second label is another one, less likely than the first; together they are at most certain."""
    intent = classify("Refactor this Python function.")

    assert {intent.label, intent.second} <= {"refactor", "code"}
    assert intent.label != intent.second
    assert intent.second_confidence <= intent.confidence
    assert intent.confidence + intent.second_confidence <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("low", "What is the capital of Peru?"),
        ("low", "git command to undo the last commit"),
        ("medium", "Write a Python script that reads a CSV file, groups the rows by month and plots the sums as bars."),
        (
            "high",
            "Design and implement a distributed job queue in Go on top of Postgres: retries, priorities, exactly-once "
            "effects, graceful shutdown, metrics, integration tests, and a migration plan without downtime. Every "
            "worker must survive a network partition, and all endpoints must require authentication.",
        ),
    ],
)
def test_complexity_grows_with_the_work_asked_for(level: str, text: str):
    """A look-up is low, one piece of work is medium, a system with many demands is high."""
    assert classify(text).complexity == level


def test_a_long_paste_does_not_hide_the_question():
    """What is asked after pages of log is still found."""
    paste = "2026-11-21 10:00:00 INFO all is well\n" * 2_000

    assert label(f"{paste}\nWhy does my Python script crash with a KeyError after this?") == "code"


def test_code_alone_is_about_code():
    """A bare traceback needs no words."""
    trace = "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    run()\nKeyError: 'name'"

    assert label(trace) == "code"


def asked(*messages, tools: tuple[Tool, ...] = ()) -> Intent:
    return classify(ChatRequest("m", messages, tools=tools))


def test_a_bare_follow_up_is_about_what_was_asked_before():
    """`continue` alone is unknown; after a poem it is a poem."""
    poem = user("Write a poem about autumn leaves.")

    after = asked(poem, assistant("Red and gold they fall"), user("continue"))

    assert label("continue") == "unknown"
    assert after.label == "creative"


def test_a_clear_turn_is_not_overruled_by_what_was_asked_before():
    """Who asks for code after a poem gets code."""
    poem = user("Write a poem about autumn leaves.")

    after = asked(poem, assistant("Red and gold"), user("Write a Python function that parses an ISO date."))

    assert after.label == "code"


def test_a_turn_of_several_messages_is_read_whole():
    """Two messages of the user in a row are one turn."""
    whole = asked(user("Here is my function: def f(x): return x"), user("Write a docstring for it."))

    assert whole.label == "documentation"


def test_the_turn_goes_on_through_tool_results():
    """After a tool has answered, the question is still the user's."""
    call = ToolCall("1", "weather", "{}")

    during = asked(user("Write a poem about the weather."), assistant(call), tool_result(call, "SELECT 1; def f():"))

    assert during.label == "creative"


def test_instructions_alone_do_not_decide():
    """A coding assistant that is thanked is still chatted with."""
    coder = system("You are a senior Python engineer. You write code, fix bugs and review pull requests.")

    assert asked(coder, user("Thanks, and have a nice weekend!")).label == "chat"


def test_tools_for_files_speak_for_code():
    """The same words are likelier about code when tools to edit files are offered."""
    tools = (Tool("read_file"), Tool("edit_file"), Tool("bash"))
    words = user("Please make the list shorter and take out what is there twice.")

    plain, with_tools = asked(words), asked(words, tools=tools)

    assert _share(with_tools, "code") >= _share(plain, "code")


def test_an_attachment_is_something_to_talk_about():
    """`And this?` with a picture is less unknown than without."""
    picture = Media("image", "image/png", data=b"x")

    assert _share(asked(user("and this?", picture)), "unknown") < _share(asked(user("and this?")), "unknown")


def test_a_request_without_a_user_is_unknown():
    """No turn, no intent, no error."""
    assert asked(system("You are a poet.")).label == "unknown"
    assert asked().label == "unknown"
    assert asked(user(Text(""))).label == "unknown"


def test_reasons_are_named():
    """What spoke for the label can be shown, strongest first."""
    spoke = reasons("Write a poem about Python.")

    assert spoke[0][1] >= spoke[-1][1]
    assert any("n.creative" in name for name, _ in spoke)
    assert reasons("") is not None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400) | st.text("`{}();=<>@#\n\t\"'„“«」「…?！、。abcXYZ_./-+^%0123π", max_size=400))
def test_any_text_gets_an_intent(text: str):
    """No text raises; the same text gets the same answer; confidences are probabilities."""
    intent = classify(text)

    assert intent == classify(text)
    assert intent.label in LABELS
    assert intent.second in LABELS
    assert intent.complexity in (*LEVELS, "unknown")
    assert 0.0 <= intent.second_confidence <= 1.0
    assert 0.0 < intent.confidence <= 1.0
    assert 0.0 < intent.complexity_confidence <= 1.0


def _share(intent: Intent, name: str) -> float:
    return {intent.second: intent.second_confidence, intent.label: intent.confidence}.get(name, 0.0)  # type: ignore[call-overload]
