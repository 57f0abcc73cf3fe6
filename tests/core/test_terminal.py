from cmrjax import cli
from cmrjax.core.errors import UserError
from cmrjax.core.terminal import printable


def test_control_characters_are_spelled_out_and_letters_stay():
    assert printable("Größe 5 µm\n王") == "Größe 5 µm\n王"
    assert printable("a\x1b[2Jb\rc\x9b\t\u202e") == r"a\x1b[2Jb\rc\x9b\t\u202e"


def test_an_error_is_printed_without_control_characters(monkeypatch, capsys):
    def refuse(argv):
        raise UserError("wrong", where=argv[0])

    monkeypatch.setattr("cmrjax.inspect.main", refuse)
    assert cli.run("inspect", ["a\x1b[2J"]) == 2
    assert capsys.readouterr().err == "cmrjax inspect: error: a\\x1b[2J: wrong\n"
