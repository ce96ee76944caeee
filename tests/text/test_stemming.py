import pytest

from jdl.text.stemming import lancaster_stem, lemma, porter_stem

# The examples of Porter 1980, step by step, as the whole algorithm leaves them.
PORTER = """
caresses caress ponies poni ties ti caress caress cats cat
feed feed agreed agre plastered plaster bled bled motoring motor sing sing
conflated conflat troubled troubl sized size hopping hop tanned tan falling fall hissing hiss
fizzed fizz failing fail filing file
happy happi sky sky
relational relat conditional condit rational ration valenci valenc hesitanci hesit digitizer digit
conformabli conform radicalli radic differentli differ vileli vile analogousli analog
vietnamization vietnam predication predic operator oper feudalism feudal decisiveness decis
hopefulness hope callousness callous formaliti formal sensitiviti sensit sensibiliti sensibl
triplicate triplic formative form formalize formal electriciti electr electrical electr
hopeful hope goodness good
revival reviv allowance allow inference infer airliner airlin gyroscopic gyroscop
adjustable adjust defensible defens irritant irrit replacement replac adjustment adjust
dependent depend adoption adopt homologou homolog communism commun activate activ
angulariti angular homologous homolog effective effect bowdlerize bowdler
probate probat rate rate cease ceas controll control roll roll
""".split()


@pytest.mark.parametrize("word, stem", [*zip(PORTER[::2], PORTER[1::2], strict=True)])
def test_porters_examples(word, stem):
    assert porter_stem(word) == stem


def test_the_words_of_the_book():
    for word in "connecting connection connected connections connects".split():
        assert porter_stem(word) == "connect"
    assert {porter_stem(word) for word in ("bloating", "bloats", "bloated")} == {"bloat"}
    assert (porter_stem("Caring"), lancaster_stem("Caring")) == ("care", "car")


@pytest.mark.parametrize(
    "word, stem",
    [
        ("maximum", "maxim"),
        ("presumably", "presum"),
        ("multiply", "multiply"),
        ("provision", "provid"),
        ("owed", "ow"),
        ("saying", "say"),
        ("string", "string"),
        ("meant", "meant"),
        ("cement", "cem"),
    ],
)
def test_words_of_paice_and_husk(word, stem):
    assert lancaster_stem(word) == stem


def test_a_lemma_is_a_word_of_the_dictionary():
    assert lemma("Caring") == "care" and lemma("caring") == "care"  # 004 section 3.7
    found = {word: lemma(word) for word in "mice was went better studies knives".split()}
    assert [*found.values()] == ["mouse", "be", "go", "good", "study", "knife"]
    assert lemma("xyzzy") == "xyzzy"
    for word in ("", "two words"):
        with pytest.raises(ValueError, match="that of one word"):
            lemma(word)
    with pytest.raises(ValueError, match="Unsupported language: xx"):
        lemma("mice", language="xx")


def test_variants_differ_and_are_named():
    assert porter_stem("dying") == "dy" and porter_stem("dying", variant="NLTK_EXTENSIONS") == "die"
    with pytest.raises(ValueError, match="variant is one of"):
        porter_stem("dying", variant="snowball")
