"""The words for what is written in signs: units, currencies, dates and mathematics, in six languages."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.languages import Language


@dataclass(frozen=True, slots=True)
class SignWords:
    """One language's words. Units and currencies come as (one, many); `date` is a format of `year`, `month`, `day`.

    `to` stands between the ends of a range with its own spaces, `space` between a number and its unit.
    """

    units: dict[str, tuple[str, str]]
    currencies: dict[str, tuple[str, str]]
    signs: dict[str, str]
    months: tuple[str, ...]
    date: str
    clock: str
    full_hour: str
    to: str
    minus: str
    dot: str
    at: str
    number: str
    fractions: dict[str, str]
    fraction: str
    space: str = " "


def _pairs(text: str) -> dict[str, tuple[str, str]]:
    """`sign=one|many` or `sign=word` where one and many sound alike."""
    entries = (entry.strip().split("=") for entry in text.split(","))
    return {sign: (words.split("|")[0], words.split("|")[-1]) for sign, words in entries}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MONTHS_IN_DIGITS = tuple(map(str, range(1, 13)))

SIGN_WORDS: dict[Language, SignWords] = {
    Language.EN: SignWords(
        units=_pairs(
            "km=kilometer|kilometers, m=meter|meters, cm=centimeter|centimeters, mm=millimeter|millimeters,"
            "km²=square kilometer|square kilometers, m²=square meter|square meters, m³=cubic meter|cubic meters,"
            "kg=kilogram|kilograms, g=gram|grams, mg=milligram|milligrams, l=liter|liters, L=liter|liters,"
            "ml=milliliter|milliliters, mL=milliliter|milliliters, km/h=kilometers per hour, m/s=meters per second,"
            "mph=miles per hour, mi=mile|miles, ft=foot|feet, lb=pound|pounds, lbs=pounds, oz=ounce|ounces,"
            "°C=degree Celsius|degrees Celsius, °F=degree Fahrenheit|degrees Fahrenheit, °=degree|degrees,"
            "h=hour|hours, min=minute|minutes, s=second|seconds, ms=milliseconds, Hz=hertz, kHz=kilohertz,"
            "GHz=gigahertz, KB=kilobytes, MB=megabytes, GB=gigabytes, TB=terabytes, W=watts, kW=kilowatts,"
            "kWh=kilowatt hour|kilowatt hours, %=percent"
        ),
        currencies=_pairs("$=dollar|dollars, €=euro|euros, £=pound|pounds, ¥=yen, ₩=won"),
        signs={
            "+": "plus",
            "−": "minus",
            "×": "times",
            "÷": "divided by",
            "=": "equals",
            "<": "is less than",
            ">": "is greater than",
            "≤": "is at most",
            "≥": "is at least",
            "≠": "is not",
            "≈": "is about",
            "±": "plus or minus",
            "√": "the square root of",
            "&": "and",
        },
        months=_words("January February March April May June July August September October November December"),
        date="{month} {day}, {year}",
        clock="{hour} {minute}",
        full_hour="{hour} o'clock",
        to=" to ",
        minus="minus",
        dot="dot",
        at="at",
        number="number",
        fractions={
            "1/2": "one half",
            "1/3": "one third",
            "2/3": "two thirds",
            "1/4": "one quarter",
            "3/4": "three quarters",
            "24/7": "24 7",
        },
        fraction="{over} over {under}",
    ),
    Language.FR: SignWords(
        units=_pairs(
            "km=kilomètres, m=mètres, cm=centimètres, mm=millimètres, km²=kilomètres carrés, m²=mètres carrés,"
            "m³=mètres cubes, kg=kilos, g=grammes, mg=milligrammes, l=litres, L=litres, ml=millilitres, cl=centilitres,"
            "km/h=kilomètres heure, m/s=mètres par seconde, °C=degrés Celsius, °F=degrés Fahrenheit, °=degrés,"
            "h=heures, min=minutes, s=secondes, ms=millisecondes, Hz=hertz, kHz=kilohertz, GHz=gigahertz,"
            "Ko=kilooctets, Mo=mégaoctets, Go=gigaoctets, To=téraoctets, W=watts, kW=kilowatts, kWh=kilowattheures,"
            "%=pour cent"
        ),
        currencies=_pairs("$=dollars, €=euros, £=livres, ¥=yens, ₩=wons"),
        signs={
            "+": "plus",
            "−": "moins",
            "×": "fois",
            "÷": "divisé par",
            "=": "égale",
            "<": "est inférieur à",
            ">": "est supérieur à",
            "≤": "est au plus",
            "≥": "est au moins",
            "≠": "n'est pas égal à",
            "≈": "est environ",
            "±": "plus ou moins",
            "√": "la racine carrée de",
            "&": "et",
        },
        months=_words("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        date="{day} {month} {year}",
        clock="{hour} heures {minute}",
        full_hour="{hour} heures",
        to=" à ",
        minus="moins",
        dot="point",
        at="arobase",
        number="numéro",
        fractions={
            "1/2": "un demi",
            "1/3": "un tiers",
            "2/3": "deux tiers",
            "1/4": "un quart",
            "3/4": "trois quarts",
        },
        fraction="{over} sur {under}",
    ),
    Language.ES: SignWords(
        units=_pairs(
            "km=kilómetro|kilómetros, m=metro|metros, cm=centímetro|centímetros, mm=milímetro|milímetros,"
            "km²=kilómetro cuadrado|kilómetros cuadrados, m²=metro cuadrado|metros cuadrados,"
            "m³=metro cúbico|metros cúbicos, kg=kilo|kilos, g=gramo|gramos, mg=miligramo|miligramos, l=litro|litros,"
            "L=litro|litros, ml=mililitro|mililitros, km/h=kilómetros por hora, m/s=metros por segundo,"
            "°C=grado Celsius|grados Celsius, °F=grado Fahrenheit|grados Fahrenheit, °=grado|grados, h=hora|horas,"
            "min=minuto|minutos, s=segundo|segundos, ms=milisegundos, Hz=hercios, kHz=kilohercios, GHz=gigahercios,"
            "KB=kilobytes, MB=megabytes, GB=gigabytes, TB=terabytes, W=vatio|vatios, kW=kilovatios,"
            "kWh=kilovatios hora, %=por ciento"
        ),
        currencies=_pairs("$=dólar|dólares, €=euro|euros, £=libra|libras, ¥=yen|yenes, ₩=won|wones"),
        signs={
            "+": "más",
            "−": "menos",
            "×": "por",
            "÷": "entre",
            "=": "es igual a",
            "<": "es menor que",
            ">": "es mayor que",
            "≤": "es como máximo",
            "≥": "es como mínimo",
            "≠": "no es igual a",
            "≈": "es más o menos",
            "±": "más menos",
            "√": "la raíz cuadrada de",
            "&": "y",
        },
        months=_words("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
        date="{day} de {month} de {year}",
        clock="{hour} y {minute}",
        full_hour="{hour} en punto",
        to=" a ",
        minus="menos",
        dot="punto",
        at="arroba",
        number="número",
        fractions={
            "1/2": "un medio",
            "1/3": "un tercio",
            "2/3": "dos tercios",
            "1/4": "un cuarto",
            "3/4": "tres cuartos",
            "24/7": "24 7",
        },
        fraction="{over} sobre {under}",
    ),
    Language.ZH: SignWords(
        units=_pairs(
            "km=公里, m=米, cm=厘米, mm=毫米, km²=平方公里, m²=平方米, m³=立方米, kg=公斤, g=克, mg=毫克, l=升, L=升,"
            "ml=毫升, mL=毫升, km/h=公里每小时, m/s=米每秒, °C=摄氏度, °F=华氏度, °=度, h=小时, min=分钟, s=秒,"
            "ms=毫秒, Hz=赫兹, kHz=千赫, GHz=吉赫, W=瓦, kW=千瓦, kWh=千瓦时"
        ),
        currencies=_pairs("$=美元, €=欧元, £=英镑, ¥=元, ₩=韩元"),
        signs={
            "+": "加",
            "−": "减",
            "×": "乘以",
            "÷": "除以",
            "=": "等于",
            "<": "小于",
            ">": "大于",
            "≤": "小于等于",
            "≥": "大于等于",
            "≠": "不等于",
            "≈": "约等于",
            "±": "正负",
            "√": "根号",
            "&": "和",
        },
        months=_MONTHS_IN_DIGITS,
        date="{year}年{month}月{day}日",
        clock="{hour}点{minute}分",
        full_hour="{hour}点",
        to="到",
        minus="负",
        dot="点",
        at="艾特",
        number="",
        fractions={},
        fraction="{over}/{under}",  # cn2an reads it
        space="",
    ),
    Language.JA: SignWords(
        units=_pairs(
            "km=キロメートル, m=メートル, cm=センチメートル, mm=ミリメートル, km²=平方キロメートル, m²=平方メートル,"
            "m³=立方メートル, kg=キログラム, g=グラム, mg=ミリグラム, l=リットル, L=リットル, ml=ミリリットル,"
            "mL=ミリリットル, km/h=キロメートル毎時, m/s=メートル毎秒, °C=度, °F=度, °=度, h=時間, min=分,"
            "s=秒, ms=ミリ秒, Hz=ヘルツ, kHz=キロヘルツ, GHz=ギガヘルツ, KB=キロバイト, MB=メガバイト, GB=ギガバイト, "
            "TB=テラバイト, W=ワット, kW=キロワット, kWh=キロワット時, %=パーセント"
        ),
        currencies=_pairs("$=ドル, €=ユーロ, £=ポンド, ¥=円, ₩=ウォン"),
        signs={
            "+": "たす",
            "−": "ひく",
            "×": "かける",
            "÷": "わる",
            "=": "イコール",
            "<": "小なり",
            ">": "大なり",
            "≤": "以下",
            "≥": "以上",
            "≠": "ノットイコール",
            "≈": "ほぼ",
            "±": "プラスマイナス",
            "√": "ルート",
            "&": "と",
        },
        months=_MONTHS_IN_DIGITS,
        date="{year}年{month}月{day}日",
        clock="{hour}時{minute}分",
        full_hour="{hour}時",
        to="から",
        minus="マイナス",
        dot="ドット",
        at="アットマーク",
        number="ナンバー",
        fractions={},
        fraction="{under}分の{over}",
        space="",
    ),
    Language.KO: SignWords(
        units=_pairs(
            "km=킬로미터, m=미터, cm=센티미터, mm=밀리미터, km²=제곱킬로미터, m²=제곱미터, m³=세제곱미터, kg=킬로그램,"
            "g=그램, mg=밀리그램, l=리터, L=리터, ml=밀리리터, mL=밀리리터, °C=도, °F=도, °=도, min=분, s=초,"
            "ms=밀리초, Hz=헤르츠, kHz=킬로헤르츠, GHz=기가헤르츠, KB=킬로바이트, MB=메가바이트, GB=기가바이트, "
            "TB=테라바이트, W=와트, kW=킬로와트, kWh=킬로와트시, %=퍼센트"
        ),
        currencies=_pairs("$=달러, €=유로, £=파운드, ¥=엔, ₩=원"),
        signs={
            "+": "더하기",
            "−": "빼기",
            "×": "곱하기",
            "÷": "나누기",
            "=": "는",
            "<": "보다 작다",
            ">": "보다 크다",
            "≤": "이하",
            "≥": "이상",
            "≠": "같지 않다",
            "≈": "약",
            "±": "플러스마이너스",
            "√": "루트",
            "&": "그리고",
        },
        months=_MONTHS_IN_DIGITS,
        date="{year}년 {month}월 {day}일",
        clock="{hour}시 {minute}분",
        full_hour="{hour}시",
        to="에서 ",
        minus="마이너스",
        dot="닷",
        at="골뱅이",
        number="",
        fractions={},
        fraction="{under}분의 {over}",
    ),
}

FRENCH_ORDINALS = _words(
    "deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième treizième"
    " quatorzième quinzième seizième dix-septième dix-huitième dix-neuvième vingtième"
)
"""From the second to the twentieth."""

KOREAN_HOURS = _words("한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두")
"""The native numerals from one to twelve, as they stand before hours and counters."""

ENGLISH_DECADES = dict(
    zip("23456789", _words("twenties thirties forties fifties sixties seventies eighties nineties"), strict=True)
)
