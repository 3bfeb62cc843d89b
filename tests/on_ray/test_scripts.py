"""Programs of one file on Ray, however they are run: what they define works there, and their failures are theirs."""

from __future__ import annotations

import os

import pytest
from scripts import Script, running
from test_exit_codes import program
from test_scripts import DEFINITIONS, FORMS

pytestmark = [
    pytest.mark.skipif("ray" not in os.environ.get("ACTORRL_ENGINES", ""), reason="make ray runs it"),
    pytest.mark.slow,
]
ON_RAY = "import actorrl\nactorrl.init(engine='ray')\n"


def run(source: str, form: str = "file", code: int = 0) -> Script:
    """Run a program on Ray to its end."""
    with running(ON_RAY + source, form) as script:
        found = script.ends(100)
        script.read_all()
        assert found == code, f"exit code {found}, expected {code}; out: {script.out}\nerr: {script.err}"
        script.leaves_nothing()
        return script


@pytest.mark.parametrize("form", FORMS)
def test_classes_and_functions_of_scripts_work(form: str):
    script = run(DEFINITIONS, form)

    assert script.out == "done\n"
    assert script.err == ""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("startat(None, Fails).fail.tell()", "told in vain"),
        ("startat(1, Fails, 'at birth')", "born broken"),
        ("startat(None, Fails).die.tell()", "code 3"),
    ],
    ids=["tell", "constructor", "death"],
)
def test_a_failure_nobody_received_is_raised_at_normal_exit_with_code_1(body: str, said: str):
    script = run(program(body), code=1)

    assert said in script.err
    assert "Fails" in script.err


def test_a_module_that_no_actor_can_import_travels_by_value_and_what_an_actor_prints_appears():
    script = run(
        "import sys, types\n"
        'module = types.ModuleType("made_up")\n'
        'exec("class Thing:\\n def n(self, other):\\n  print(\'from over there\')\\n  return type(other) is Thing",'
        " module.__dict__)\n"
        'sys.modules["made_up"] = module\n'
        "from actorrl import fetch, startat\n"
        "assert fetch(startat(None, module.Thing).n(module.Thing()))\n"
    )

    assert "from over there" in script.out
