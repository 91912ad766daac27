from __future__ import annotations

import pytest

from detector.encodings import decode_html, detect
from detector.formats.text import decode

TEXTS = {
    "cp1252": [
        "Le café est fermé.",
        "Été à la plage : où aller ?",
        "Les élèves du collège ont préparé une fête. Après le goûter, chacun a planté un arbre près de l'étang.",
        "Die Bäckerei öffnet früh.",
        "Der Bürgermeister eröffnete am Samstag die neue Brücke über den Fluß; über hundert Gäste kamen.",
        "El niño comió una piña.",
        "¿Dónde está el señor Muñoz?",
        "It’s the neighbours’ garden — and they’re proud of it.",
    ],
    "cp1250": [
        "Książka leży na półce.",
        "Wczoraj wieczorem mieszkańcy wsi spotkali się, żeby porozmawiać o drodze, która połączy szkołę z rynkiem.",
    ],
    "cp1251": [
        "Кошка спит на окне.",
        "Вчера вечером жители деревни собрались в школе и обсудили новую дорогу к реке.",
    ],
    "shift_jis": ["お知らせ", "昨日の夕方、村の人たちは学校に集まり、川へ続く新しい道について話し合いました。"],
    "euc_jp": ["お知らせ", "昨日の夕方、村の人たちは学校に集まり、川へ続く新しい道について話し合いました。"],
    "gb18030": ["新闻和天气", "昨天晚上，村民们在学校里开会，讨论通往河边的新路和旧桥的修理。"],
    "big5": ["新聞和天氣", "昨天晚上，村民們在學校裡開會，討論通往河邊的新路和舊橋的修理。"],
    "euc_kr": ["소식과 날씨", "어제 저녁 마을 사람들은 학교에 모여 강으로 가는 새 길에 대해 이야기했습니다."],
}
CASES = [pytest.param(encoding, text, id=f"{encoding}-{text[:12]}") for encoding in TEXTS for text in TEXTS[encoding]]


@pytest.mark.parametrize(("encoding", "text"), CASES)
def test_short_texts_without_a_declaration(encoding, text):
    page = f"<html><body class='page'><div id=main><p>{text}</p></div></body></html>"
    assert decode_html(page.encode(encoding)) == page
    assert decode(text.encode(encoding), pytest.fail) == text


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("iso-8859-1", "cp1252", "“Tea” – £5"),
        ("gb2312", "gb18030", "朱镕基"),
        ("shift_jis", "cp932", "①番線"),
        ("euc-kr", "cp949", "똠방"),
        ("iso-8859-9", "cp1254", "“Çay”"),
    ],
)
def test_declarations_mean_what_browsers_read(declared, encoding, text):
    page = f"<meta charset={declared}><p>{text}"
    assert decode_html(page.encode(encoding)) == page
    assert decode_html(page.encode(encoding), declared) == page


def test_a_wrong_declaration_costs_no_more_than_signs():
    assert decode_html(b"<meta charset=no-such><p>caf\xe9") == "<meta charset=no-such><p>café"
    assert decode_html(b"<meta charset=utf-8><p>Le caf\xe9 est ferm\xe9.").endswith("Le café est fermé.")
    assert decode_html(b"<meta charset=base64><p>caf\xc3\xa9").endswith("café")
    assert decode_html(b"<p>caf\xe9", "euc-jp").startswith("<p>caf")


def test_what_is_no_text_is_in_no_encoding():
    assert detect(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe\xfd") is None
