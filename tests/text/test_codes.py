"""Figures that are a name are spoken one by one; amounts, years and times stay numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.text.normalisation import TextNormaliser
from nur_server.text.other_languages import cardinal, code_of

DIGIT_NAMES = {
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "zh": list("0123456789"),
    "hi": list("0123456789"),
    "ja": list("0123456789"),
    "ko": list("0123456789"),
}


def said(text: str, language: str = "en") -> str:
    """The spoken text, without the commas that mark pauses."""
    clause = TextNormaliser(language).clause(text)
    assert clause is not None
    return " ".join(clause.spoken.replace(",", "").split())


def one_by_one(digits: str, language: str) -> str:
    names = DIGIT_NAMES.get(language[:2])
    if names is None:
        code = code_of(language)
        assert code is not None
        names = [cardinal(digit, code) for digit in range(10)]
    return " ".join(names[int(digit)] for digit in digits)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        (
            "Your order is AB-12345678 and ships today.",
            "A B one two three four five six seven eight",
        ),
        ("Your OTP is 482913.", "four eight two nine one three"),
        ("Use 482913 to log in.", "four eight two nine one three"),
        ("482913 is your verification code.", "four eight two nine one three"),
        ("The passcode: 7310", "seven three one zero"),
        ("Enter 90210 on the keypad.", "nine zero two one zero"),
        ("My extension is 4021.", "four zero two one"),
        ("You are in room 304.", "room three zero four"),
        ("Suite 1200, please.", "Suite one two zero zero"),
        ("Rooms 304 and 305 are free.", "Rooms three zero four and three zero five"),
        ("Flight BA 249 is late.", "Flight B A two four nine"),
        ("LH 400 departs soon.", "L H four zero zero"),
        ("It goes from platform 9.", "platform nine"),
        ("Call 911.", "nine one one"),
        ("Text 741741.", "seven four one seven four one"),
        ("The tracking number is 1Z999AA10123456784.", "one Z nine nine nine A A one zero one two"),
        ("The reference is xK7pQ2.", "X K seven P Q two"),
        ("The postcode is NW1 6XE.", "N W one six X E"),
        ("IBAN DE89 3704 0044 0532 0130 00", "D E eight nine three seven zero four zero zero"),
        ("It is invoice INV-2026-0042.", "I N V two zero two six zero zero four two"),
        ("It is card 3782 822463 10005.", "three seven eight two eight two two four six three"),
    ],
)
def test_names_are_spoken_one_by_one(text: str, spoken: str) -> None:
    assert spoken in said(text)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("You live in apartment 4B.", "apartment four B"),
        ("Your seat is 14K.", "seat is fourteen K"),
        ("Seats 14K and 14L are free.", "Seats fourteen K and fourteen L"),
        ("She is in class 3M.", "class three M"),
        ("It is in row 12L.", "row twelve L"),
        ("Flat 2b is upstairs.", "Flat two B"),
        ("Gate 22W is closed.", "Gate twenty-two W"),
        ("We live at 221B Baker Street.", "two two one B Baker Street"),
    ],
)
def test_a_letter_behind_a_number_is_a_letter(text: str, spoken: str) -> None:
    assert spoken in said(text)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("That is 482913 dollars.", "four hundred eighty-two thousand nine hundred thirteen"),
        ("The bus was 300 metres away.", "three hundred metres"),
        ("In the room 500 people waited.", "five hundred people"),
        ("The ticket is 250 euros.", "two hundred fifty euros"),
        ("It was built in 1984.", "nineteen eighty-four"),
        ("We opened in 2026.", "twenty twenty-six"),
        ("Your code expires at 4:30 PM.", "four thirty PM"),
        ("It has 2.5M users.", "two point five million users"),
        ("We sold over 20K.", "over twenty thousand"),
        ("5B people saw it.", "five billion people"),
        ("It holds 500GB.", "five hundred gigabytes"),
        ("It is 5 km away.", "five kilometers"),
        ("Order 2 or 3 pizzas.", "Order two or three pizzas"),
    ],
)
def test_amounts_stay_numbers(text: str, spoken: str) -> None:
    assert spoken in said(text)


@pytest.mark.parametrize(
    ("language", "text", "digits"),
    [
        ("de", "Ihr Code ist 0042.", "0042"),
        ("de", "Ihre Bestellnummer lautet 482913.", "482913"),
        ("de", "Rufen Sie 030 1234567 an.", "0301234567"),
        ("de", "Sie haben Zimmer 304.", "304"),
        ("fr", "Appelez le 01 23 45 67 89.", "0123456789"),
        ("fr", "Votre code est 482913.", "482913"),
        ("fr", "Le vol AF 1234 est en retard.", "1234"),
        ("es", "Su código es 0042.", "0042"),
        ("es", "Llame al 912 345 678.", "912345678"),
        ("es", "La habitación 304 está lista.", "304"),
        ("it", "Il codice è 482913.", "482913"),
        ("it", "Chiami il 06 1234 5678.", "0612345678"),
        ("pt-BR", "Seu código é 0042.", "0042"),
        ("pt-BR", "Ligue para 11 91234-5678.", "11912345678"),
        ("ru", "Ваш код 0042.", "0042"),
        ("ru", "Позвоните по номеру 8 800 555-35-35.", "88005553535"),
        ("ru", "Номер заказа 482913.", "482913"),
        ("hi", "आपका कोड 0042 है।", "0042"),
        ("hi", "आपका ओटीपी 482913 है।", "482913"),
        ("zh", "您的验证码是482913。", "482913"),
        ("zh", "请拨打010-12345678。", "01012345678"),
        ("ja", "コードは0042です。", "0042"),
        ("ja", "電話は03-1234-5678です。", "0312345678"),
        ("ja", "304号室です。", "304"),
        ("ko", "코드는 0042입니다.", "0042"),
        ("ko", "전화번호는 010-1234-5678입니다.", "01012345678"),
        ("nl", "Uw code is 0042.", "0042"),
        ("pl", "Kod to 0042.", "0042"),
        ("sv", "Din kod är 0042.", "0042"),
        ("tr", "Kodunuz 0042.", "0042"),
    ],
)
def test_names_are_spoken_one_by_one_in_every_language(
    language: str, text: str, digits: str
) -> None:
    names = DIGIT_NAMES.get("zh") if language == "tr" else None
    spoken = " ".join(names[int(d)] for d in digits) if names else one_by_one(digits, language)
    assert spoken in said(text, language)


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "Es kostet 482913 Euro.", "vierhundertzweiundachtzigtausend"),
        ("de", "Am 3. Mai um 16:05 Uhr.", "3. Mai um 16:05"),
        ("de", "Gleis 9, bitte.", "Gleis neun"),
        ("fr", "Il y a 300 personnes.", "trois cents personnes"),
        ("es", "Son 1.200 euros.", "mil doscientos euros"),
        ("it", "Nel 1984 era qui.", "millenovecentottantaquattro"),
        ("pt-BR", "O dia 05.03.2026 é bom.", "05.03.2026"),
        ("ru", "Это 300 рублей.", "триста рублей"),
        ("zh", "我有25个。", "25个"),
    ],
)
def test_amounts_and_dates_stay_numbers_in_every_language(
    language: str, text: str, spoken: str
) -> None:
    assert spoken in said(text, language)


WORDS_BEFORE = {
    "en": ["Your code is", "The PIN is", "Order number", "Your extension is", "Room"],
    "de": ["Ihr Code ist", "Die Bestellnummer lautet", "Ihre PIN ist", "Zimmer"],
    "fr": ["Votre code est", "Le numéro est", "La chambre"],
    "es": ["Su código es", "El número es", "La habitación"],
    "it": ["Il codice è", "Il numero è", "La camera"],
    "pt-BR": ["O código é", "A senha é", "O quarto"],
    "ru": ["Ваш код", "Номер заказа", "Комната"],
    "hi": ["आपका कोड", "आपका पिन", "कमरा"],
    "zh": ["您的代码是", "订单号", "房间号"],
    "ja": ["コードは", "注文番号は", "部屋番号は"],
    "ko": ["코드는", "주문번호는", "객실"],
    "nl": ["Uw code is", "Het nummer is", "Kamer"],
    "pl": ["Kod to", "Numer to", "Pokój"],
    "sv": ["Din kod är", "Numret är", "Rum"],
}


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(data=st.data(), digits=st.from_regex(r"[0-9]{3,12}", fullmatch=True))
def test_every_digit_of_a_code_is_spoken_in_order(data: st.DataObject, digits: str) -> None:
    language = data.draw(st.sampled_from(sorted(WORDS_BEFORE)))
    before = data.draw(st.sampled_from(WORDS_BEFORE[language]))
    assert one_by_one(digits, language) in said(f"{before} {digits}.", language)
