import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.agents.variables import missing_warnings, render

CONTEXT = {"name": "Ada", "visits": 3, "vip": True, "none": None, "order": {"id": "A-1"}}
METADATA = {"name": "Bob", "city": "Ulm", "a.b": "flat"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{name}}!", "Hello Ada!"),
        ("{{ name }} from {{city}}", "Ada from Ulm"),
        ("{{visits}} visits, vip {{vip}}", "3 visits, vip true"),
        ("order {{order.id}}", "order A-1"),
        ("{{a.b}}", "flat"),
        ("{{order}}", '{"id": "A-1"}'),
        ("{{who|friend}}", "friend"),
        ("{{who| dear friend }}", "dear friend"),
        ("{{who|}}", ""),
        ("{{none|nobody}}", "nobody"),
        ("{{}} {{ }} {name} { {name} }", "{{}} {{ }} {name} { {name} }"),
        ("no variables", "no variables"),
    ],
)
def test_variables_are_filled_in(template: str, text: str) -> None:
    rendered = render(template, CONTEXT, METADATA)
    assert rendered.text == text
    assert rendered.missing == ()


def test_missing_variables_are_empty_and_named_once() -> None:
    rendered = render("{{a}}-{{b}}-{{a}}", {})
    assert rendered.text == "--"
    assert rendered.missing == ("a", "b")
    assert missing_warnings(rendered.missing)[0].startswith("{{a}} has no value")


def test_a_value_is_not_rendered_again() -> None:
    assert render("{{said}}", {"said": "{{secret}}", "secret": "x"}).text == "{{secret}}"


@given(
    st.text(alphabet="{}|a. \n"), st.dictionaries(st.text("a.", max_size=3), st.text(max_size=3))
)
def test_any_text_renders(template: str, values: dict[str, str]) -> None:
    rendered = render(template, values)
    assert all(name == name.strip() != "" for name in rendered.missing)
