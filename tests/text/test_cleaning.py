import pytest

from jdl.text.cleaning import english_stop_words, without_markup, without_stop_words


def test_stop_words_of_the_book_go_and_the_rest_keeps_its_case():
    words = english_stop_words()
    assert without_stop_words(["What", "is", "NLP", "?"], words) == ["NLP", "?"]
    assert len(words) == 318


@pytest.mark.parametrize(
    "html, text",
    [
        ("<p>One</p><p>two</p>", "One two"),
        ("one<br/>two<br>three", "one two three"),
        ("a<b>b</b>c", "abc"),
        ("x &lt;3 y &#233; &amp;amp;", "x <3 y \u00e9 &amp;"),
        ("<script>if (a < b) {}</script>seen<style>p {}</style>", "seen"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<!-- note -->kept<a href='x>y'>link</a>", "keptlink"),
        ("plain\n\n text ", "plain text"),
        ("", ""),
    ],
)
def test_the_text_of_html_is_left(html, text):
    assert without_markup(html) == text
