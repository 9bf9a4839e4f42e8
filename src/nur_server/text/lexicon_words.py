"""The words of `lexicon`, by language: every language that has a voice, and some that have none."""

from collections.abc import Mapping
from types import MappingProxyType

from nur_server.text.lexicon_words_asia import CHINESE, HINDI, JAPANESE, KOREAN

_SIGNS = {
    "star": "star",
    "pound": "pound",
    "number": "",
    "plus": "plus",
    "at": "at",
    "dot": "dot",
    "dash": "dash",
    "underscore": "underscore",
    "slash": "slash",
    "colon": "colon",
    "equals": "equals",
    "question_mark": "question mark",
    "ampersand": "and",
}
_INTERNATIONAL = {
    "code": "code*, pin, pin code, pin-code, otp, id, sms, tan, iban, bic, cvv, cvc, imei, vin, "
    "ref, token, zip, passcode, tracking",
    "phone": "tel, telefon, fax, hotline, whatsapp, mobile, phone",
    "place": "gate, terminal, bus, box, lounge",
    "line": "boeing, airbus, ice, tgv, re, ic",
    "link": "no, nr, n°, nº, №, id, code, #",
    "login": "login, otp, 2fa, sms, pin",
    "counted": "km, kg, cm, mm, ml, mb, gb, tb, euro, euros, eur, usd, dollar, dollars",
    "at": "at",
}
_ENGLISH = {
    "code": "code, codes, pin, pins, pin number, otp, id, ids, passcode, password, tan, cvv, "
    "cvc, imei, vin, ssn, iban, bic, account, acct, confirmation, reference, ref, ticket, case, "
    "invoice, tracking, tracking number, zip, zip code, postcode, postal code, area code, "
    "country code, extension, ext, ext., card, serial, serial number, policy, member, "
    "membership, booking, passport, license, licence, license plate, social security, routing, "
    "order, number, numbers, combination, ending in, ends in, ending with, ends with, digits, "
    "no., parcel, shipment, purchase order, po, docket, claim, receipt, prescription, locator, "
    "pnr, voucher, coupon, token, port, employee, caller id, short code, enter, type, type in, "
    "key in, punch in, press, dial, call, text, ring",
    "phone": "call, phone, phone number, telephone, tel, number, dial, ring, reach us at, "
    "reach us on, reach me at, reach me on, text, fax, mobile, cell, landline, hotline, "
    "helpline, whatsapp, at, is",
    "place": "apartment, apartments, apt, apt., flat, flats, room, rooms, rm, suite, ste, unit, "
    "seat, seats, gate, gates, platform, terminal, bay, berth, coach, carriage, cabin, desk, "
    "counter, booth, locker, door, studio, office, ward, cell, dorm, pier, dock, stall, po box, "
    "p.o. box, mailbox, extension",
    "line": "flight, flights, train, boeing, airbus, bus, tram, service, line, route, highway, "
    "hwy, interstate, exit, road, lane, aisle, row, rows, shelf, bin, rack, group, "
    "boarding group, form, box, stand, channel, frequency, court, field, house, station, window, "
    "check-in, checkout, till, article, paragraph, option, question, exhibit, appendix, "
    "schedule, floor, level, building, bldg, block, wing, section, zone, lot, space, slot, "
    "class, grade, hall, theatre, theater, bed, site, stop, table, track, car, number, street, "
    "avenue, peugeot, porsche, radio",
    "link": "number, numbers, no., code, id, is, was, are, will be, at, on, ending in, the, "
    "your, my, our, here, now, called, it's, is now, #, nr, line, following",
    "login": "log in, login, log on, logging in, sign in, signing in, sign-in, verify, "
    "verification, authenticate, authentication, authenticator, one-time, one time, two-factor, "
    "2fa, unlock, activate, keypad, reset your password, enter, type, type in, key in, punch in, "
    "expires, text message, do not share, don't share",
    "counted": "people, persons, users, customers, guests, members, visitors, dollar, dollars, "
    "cent, cents, euro, euros, pound, pounds, percent, times, second, seconds, minute, minutes, "
    "hour, hours, day, days, night, nights, week, weeks, month, months, year, years, mile, "
    "miles, kilometer, kilometers, kilometre, kilometres, meter, meters, metre, metres, foot, "
    "feet, inch, inches, item, items, piece, pieces, unit, units, point, points, page, pages, "
    "copy, copies, step, steps, word, words, call, calls, orders, million, thousand, billion, "
    "calories, grams, kilograms, kilos, liters, litres, seats, rooms, tickets, bags, boxes, "
    "shares, different, more, other, new, employees, students, patients, passengers, characters, "
    "am, pm, o'clock, degrees, square, votes, views, followers, downloads, subscribers, jobs, "
    "homes, yen, rupees, francs, bucks, grand, yards, km, kg, cm, mm, ml, mb, gb, tb, of",
    "star": "star",
    "pound": "pound",
    "number": "number",
    "plus": "plus",
    "at": "at",
    "dot": "dot",
    "dash": "dash",
    "underscore": "underscore",
    "slash": "slash",
}
_GERMAN = {
    "code": "wählen sie, wähle, rufen sie, ruf, notruf, drücken sie, tippen sie, geben sie, gib, "
    "code, *code, *nummer, *nr, kennwort, passwort, *kennung, kennzeichen, plz, postleitzahl, "
    "vorwahl, durchwahl, geheimzahl, aktenzeichen, rechnung, bestellung, auftrag, buchung, "
    "konto, ziffern, endet auf, endend auf, *zeichen, steuer-id, referenz, sendung",
    "phone": "telefon, *nummer, rufnummer, handy, mobil, fax, hotline, anrufen, unter, "
    "wählen sie, ruf, rufen sie, durchwahl, erreichbar unter",
    "place": "wohnung, zimmer, raum, sitz, sitzplatz, platz, reihe, gate, flugsteig, gleis, "
    "bahnsteig, steig, bussteig, terminal, wagen, waggon, schalter, tisch, halle, etage, stock, "
    "haus, hausnummer, tor, block, gebäude, eingang, linie, bus, tram, straßenbahn, zug, klasse, "
    "spind, schließfach, abschnitt, stellplatz, postfach, *straße, *str., *weg, *platz, *gasse, "
    "*allee",
    "line": "flug, flugnummer, zug, zugnummer, linie, flüge",
    "link": "ist, lautet, war, sind, nummer, code, nr, die, der, das, ihre, ihr, mit, für, hier",
    "login": "anmelden, anzumelden, anmeldung, einloggen, einzuloggen, login, bestätigen, "
    "bestätigung, bestätigungs*, einmal*, verifizieren, verifizierung, freischalten, geben sie, "
    "gib, tippen sie, eingeben, einzugeben, drücken sie, gültig",
    "counted": "personen, leute, menschen, kunden, gäste, einwohner, euro, cent, dollar, "
    "franken, prozent, mal, sekunden, minuten, stunden, tage, tagen, nächte, wochen, monate, "
    "monaten, jahre, jahren, kilometer, meter, metern, stück, punkte, seiten, schritte, wörter, "
    "uhr, grad, quadrat*, kilo, gramm, liter, millionen, tausend, mitarbeiter, plätze, zimmer",
    "star": "Stern",
    "pound": "Raute",
    "number": "Nummer",
    "plus": "plus",
    "at": "at",
    "dot": "Punkt",
    "dash": "Bindestrich",
    "underscore": "Unterstrich",
    "slash": "Schrägstrich",
    "colon": "Doppelpunkt",
    "equals": "gleich",
    "question_mark": "Fragezeichen",
    "ampersand": "und",
}
_FRENCH = {
    "code": "composez le, composez, appelez le, tapez, tapez le, saisissez, entrez, code, codes, "
    "numéro, numéros, mot de passe, identifiant, référence, dossier, commande, réservation, "
    "confirmation, facture, compte, carte, suivi, code postal, clé, client, ticket, billet, "
    "colis, siret, siren, poste, se terminant par, se termine par, finissant par, chiffres",
    "phone": "téléphone, tél, numéro, numéros, portable, mobile, fixe, fax, appelez, appeler, "
    "appelle, joindre, joignable, rappelez, composez, composer, standard, au, le",
    "place": "appartement, appt, chambre, salle, siège, sièges, place, rang, rangée, porte, "
    "quai, voie, terminal, voiture, wagon, comptoir, guichet, table, étage, bâtiment, bât, bloc, "
    "hall, ligne, bus, tram, train, classe, casier, bureau, allée, box, cabine, lot, zone, "
    "sortie, boîte postale, bp, immeuble, escalier, cour, pavillon, résidence",
    "line": "vol, vols, train, ligne, bus",
    "link": "est, était, sont, sera, numéro, code, n°, no, le, la, les, votre, vos, de, du, au, "
    "suivant, voici, maintenant",
    "login": "connecter, connexion, connectez, identifier, authentifier, authentification, "
    "vérification, vérifier, usage unique, saisissez, saisir, entrez, entrer, tapez, taper, "
    "composez, valable, activer, déverrouiller, appuyez",
    "counted": "personnes, gens, clients, habitants, euros, euro, centimes, dollars, francs, "
    "pour, pourcent, fois, secondes, minutes, heures, heure, jours, nuits, semaines, mois, ans, "
    "années, kilomètres, mètres, pièces, points, pages, pas, mots, degrés, kilos, grammes, "
    "litres, millions, mille, employés, places, chambres, unités, articles",
    "star": "étoile",
    "pound": "dièse",
    "number": "numéro",
    "plus": "plus",
    "at": "arobase",
    "dot": "point",
    "dash": "tiret",
    "underscore": "tiret bas",
    "slash": "slash",
    "colon": "deux-points",
    "equals": "égal",
    "question_mark": "point d'interrogation",
    "ampersand": "et",
}
_SPANISH = {
    "code": "marque el, marque, llame al, pulse, ingrese, introduzca, teclee, digite, código, "
    "códigos, número, números, contraseña, clave, pin, referencia, pedido, reserva, "
    "confirmación, factura, cuenta, tarjeta, seguimiento, guía, código postal, expediente, caso, "
    "boleto, billete, póliza, extensión, ext, interno, anexo, cliente, matrícula, dni, nif, rut, "
    "cédula, terminada en, termina en, dígitos, localizador, orden, rastreo, ticket, envío",
    "phone": "teléfono, tel, tfno, número, números, móvil, celular, fijo, fax, llame, llamar, "
    "llama, llámenos, llamando, marque, marcar, al, contacto",
    "place": "apartamento, apto, departamento, depto, piso, puerta, habitación, cuarto, sala, "
    "aula, asiento, asientos, butaca, fila, puerta de embarque, andén, vía, terminal, coche, "
    "vagón, mostrador, mesa, planta, edificio, bloque, torre, nave, línea, autobús, bus, tren, "
    "clase, taquilla, casillero, oficina, consultorio, plaza, zona, salida, local, casa, lote, "
    "escalera, portal, calle",
    "line": "vuelo, vuelos, tren, línea, autobús, bus",
    "link": "es, era, son, será, número, código, núm, nº, n.º, no, el, la, su, tu, de, del, con, "
    "siguiente, ahora",
    "login": "iniciar sesión, acceder, entrar, ingresar, ingrese, introduzca, introducir, "
    "introduce, escriba, teclee, digite, marque, verificación, verificar, un solo uso, "
    "autenticación, activar, desbloquear, pulse, válido, caduca",
    "counted": "personas, gente, clientes, habitantes, euros, euro, céntimos, dólares, pesos, "
    "por, porciento, veces, segundos, minutos, horas, hora, días, noches, semanas, meses, años, "
    "año, kilómetros, metros, piezas, puntos, páginas, pasos, palabras, grados, kilos, gramos, "
    "litros, millones, mil, empleados, plazas, habitaciones, unidades, artículos",
    "star": "asterisco",
    "pound": "almohadilla",
    "number": "número",
    "plus": "más",
    "at": "arroba",
    "dot": "punto",
    "dash": "guion",
    "underscore": "guion bajo",
    "slash": "barra",
    "colon": "dos puntos",
    "equals": "igual",
    "question_mark": "signo de interrogación",
    "ampersand": "y",
}
_ITALIAN = {
    "code": "componga il, chiami il, chiama il, prema, inserisca, digiti, codice, codici, "
    "numero, numeri, password, pin, riferimento, ordine, prenotazione, conferma, fattura, conto, "
    "carta, tracciamento, spedizione, cap, pratica, biglietto, polizza, interno, cliente, targa, "
    "che termina con, termina con, cifre, chiave, tessera",
    "phone": "telefono, tel, numero, numeri, cellulare, fisso, fax, chiami, chiamare, chiama, "
    "chiamate, chiamando, componga, comporre, al, allo",
    "place": "appartamento, interno, camera, stanza, sala, aula, posto, posti, fila, uscita, "
    "gate, cancello, binario, terminal, carrozza, vagone, sportello, banco, tavolo, piano, "
    "edificio, palazzina, blocco, scala, linea, autobus, bus, tram, treno, classe, armadietto, "
    "ufficio, porta, zona, settore, casa, lotto, padiglione, cuccetta",
    "line": "volo, voli, treno, linea, autobus",
    "link": "è, era, sono, sarà, numero, codice, n., nº, n°, il, la, lo, suo, tuo, di, del, con, "
    "seguente, ora",
    "login": "accedere, accesso, entrare, inserisca, inserire, inserisci, digiti, digitare, "
    "digita, verifica, verificare, monouso, autenticazione, attivare, sbloccare, prema, valido, "
    "scade",
    "counted": "persone, gente, clienti, abitanti, euro, centesimi, dollari, franchi, per, "
    "percento, volte, secondi, minuti, ore, ora, giorni, notti, settimane, mesi, anni, anno, "
    "chilometri, metri, pezzi, punti, pagine, passi, parole, gradi, chili, grammi, litri, "
    "milioni, mila, dipendenti, posti, camere, unità, articoli",
    "star": "asterisco",
    "pound": "cancelletto",
    "number": "numero",
    "plus": "più",
    "at": "chiocciola",
    "dot": "punto",
    "dash": "trattino",
    "underscore": "trattino basso",
    "slash": "barra",
    "colon": "due punti",
    "equals": "uguale",
    "question_mark": "punto interrogativo",
    "ampersand": "e",
}
_PORTUGUESE = {
    "code": "ligue para o, ligue para, disque, digite, insira, pressione, código, códigos, "
    "número, números, senha, pin, referência, pedido, encomenda, reserva, confirmação, fatura, "
    "conta, cartão, rastreamento, rastreio, cep, código postal, protocolo, processo, bilhete, "
    "apólice, ramal, extensão, cliente, matrícula, cpf, cnpj, nif, terminado em, termina em, "
    "final, dígitos, localizador, chave, boleto, envio",
    "phone": "telefone, tel, número, números, celular, telemóvel, fixo, fax, ligue, ligar, liga, "
    "ligando, disque, marque, para o, pelo, contato, contacto",
    "place": "apartamento, apto, quarto, sala, assento, assentos, poltrona, lugar, fila, "
    "fileira, portão, porta, plataforma, linha, cais, terminal, vagão, carruagem, balcão, "
    "guichê, mesa, andar, piso, edifício, prédio, bloco, torre, ônibus, autocarro, trem, "
    "comboio, classe, armário, escritório, consultório, zona, saída, casa, lote, box, leito",
    "line": "voo, voos, trem, comboio, linha, ônibus",
    "link": "é, era, são, será, número, código, n.º, nº, o, a, seu, sua, de, do, da, com, "
    "seguinte, agora",
    "login": "entrar, acessar, aceder, iniciar sessão, login, digite, digitar, insira, inserir, "
    "introduza, verificação, verificar, uso único, autenticação, ativar, desbloquear, pressione, "
    "prima, válido, expira",
    "counted": "pessoas, gente, clientes, habitantes, euros, euro, reais, real, centavos, "
    "dólares, por, porcento, vezes, segundos, minutos, horas, hora, dias, noites, semanas, "
    "meses, anos, ano, quilômetros, quilómetros, metros, peças, pontos, páginas, passos, "
    "palavras, graus, quilos, gramas, litros, milhões, mil, funcionários, lugares, quartos, "
    "unidades, artigos",
    "star": "asterisco",
    "pound": "jogo da velha",
    "number": "número",
    "plus": "mais",
    "at": "arroba",
    "dot": "ponto",
    "dash": "hífen",
    "underscore": "sublinhado",
    "slash": "barra",
    "colon": "dois pontos",
    "equals": "igual",
    "question_mark": "ponto de interrogação",
    "ampersand": "e",
}
_RUSSIAN = {
    "code": "наберите, позвоните по, звоните, введите, нажмите, код, кода, коды, код*, пин, "
    "пин-код, пароль, номер, номера, номером, индекс, заказ, заказа, бронь, бронирование, "
    "бронирования, счёт, счет, карта, карты, трек-номер, трек, инн, снилс, паспорт, билет, "
    "договор, добавочный, полис, цифры, заканчивается на, квитанция",
    "phone": "телефон, телефону, тел, номер, номеру, мобильный, факс, звоните, позвоните, "
    "наберите, позвонить, звонить, по",
    "place": "квартира, кв, комната, кабинет, палата, место, места, ряд, выход, гейт, платформа, "
    "путь, терминал, вагон, купе, стойка, окно, стол, этаж, дом, корпус, подъезд, секция, блок, "
    "автобус, трамвай, поезд, маршрут, класс, ячейка, офис, зал, аудитория, дверь, помещение",
    "line": "рейс, рейса, рейсом, поезд, маршрут, автобус",
    "link": "это, номер, код, равен, ваш, ваша, теперь, следующий, №, —, -, –",
    "login": "войти, вход, входа, войдите, введите, ввести, подтверждения, подтвердить, "
    "одноразовый, одноразовый пароль, нажмите, активировать, действует, набирайте",
    "counted": "человек, людей, клиентов, жителей, рублей, рубля, рубль, евро, долларов, копеек, "
    "процентов, раз, раза, секунд, минут, часов, часа, дней, дня, ночей, недель, месяцев, лет, "
    "года, год, году, километров, метров, штук, баллов, страниц, шагов, слов, градусов, кг, "
    "грамм, литров, миллионов, тысяч, сотрудников, мест, комнат",
    "star": "звёздочка",
    "pound": "решётка",
    "number": "номер",
    "plus": "плюс",
    "at": "собака",
    "dot": "точка",
    "dash": "дефис",
    "underscore": "нижнее подчёркивание",
    "slash": "слэш",
    "colon": "двоеточие",
    "equals": "равно",
    "question_mark": "вопросительный знак",
    "ampersand": "и",
}
_DUTCH = {
    "code": "bel, toets, typ, voer, kies, code, *code, *nummer, *nr, wachtwoord, pincode, "
    "postcode, bestelling, boeking, reservering, factuur, rekening, kenmerk, referentie, "
    "kenteken, toestel, cijfers, eindigend op",
    "phone": "telefoon, tel, *nummer, mobiel, fax, bel, belt, bellen, naar, op",
    "place": "appartement, kamer, zaal, stoel, stoelen, rij, gate, perron, spoor, terminal, "
    "rijtuig, wagon, balie, tafel, verdieping, gebouw, blok, lijn, bus, tram, trein, klasse, "
    "kluisje, huis, huisnummer, uitgang, lokaal",
    "line": "vlucht, vluchtnummer, trein, lijn, bus",
    "link": "is, was, zijn, luidt, nummer, code, nr, de, het, uw, je, van",
    "login": "inloggen, aanmelden, in te loggen, verificatie, verifiëren, eenmalige, voer, typ, "
    "toets, druk, bevestigen, geldig",
    "counted": "mensen, personen, klanten, gasten, inwoners, euro, cent, dollar, procent, keer, "
    "seconden, minuten, uur, dagen, nachten, weken, maanden, jaar, kilometer, meter, stuks, "
    "punten, pagina's, stappen, woorden, graden, kilo, gram, liter, miljoen, duizend",
    "star": "sterretje",
    "pound": "hekje",
    "number": "nummer",
    "plus": "plus",
    "at": "apenstaartje",
    "dot": "punt",
    "dash": "streepje",
    "underscore": "laag streepje",
    "slash": "schuine streep",
    "colon": "dubbele punt",
    "equals": "is gelijk aan",
    "question_mark": "vraagteken",
    "ampersand": "en",
}
_POLISH = {
    "code": "zadzwoń pod, dzwoń pod, wpisz, wybierz, naciśnij, kod, kodu, kod*, numer, numeru, "
    "pin, hasło, hasła, zamówienie, zamówienia, rezerwacja, rezerwacji, faktura, konto, konta, "
    "karta, karty, pesel, nip, sprawa, wewnętrzny, przesyłka, przesyłki, bilet, cyfry, "
    "kończy się na",
    "phone": "telefon, telefonu, tel, numer, numerem, komórka, komórkowy, faks, dzwoń, "
    "proszę dzwonić, zadzwoń, pod",
    "place": "mieszkanie, pokój, sala, miejsce, miejsca, rząd, bramka, wyjście, peron, tor, "
    "terminal, wagon, stanowisko, stolik, piętro, budynek, blok, linia, autobus, tramwaj, "
    "pociąg, klasa, szafka, dom, lokal, okienko, gabinet",
    "line": "lot, lotu, rejs, pociąg, linia, autobus",
    "link": "to, jest, numer, kod, nr, brzmi, twój, pana, pani",
    "login": "zalogować, logowania, logowanie, wpisz, wprowadź, podaj, weryfikacyjny, "
    "jednorazowy, jednorazowe, naciśnij, potwierdzić, ważny",
    "counted": "osób, osoby, ludzi, klientów, gości, mieszkańców, złotych, złote, euro, groszy, "
    "dolarów, procent, razy, sekund, minut, godzin, godziny, dni, nocy, tygodni, miesięcy, lat, "
    "lata, roku, rok, kilometrów, metrów, sztuk, punktów, stron, kroków, słów, stopni, kilo, "
    "gramów, litrów, milionów, tysięcy",
    "star": "gwiazdka",
    "pound": "krzyżyk",
    "number": "numer",
    "plus": "plus",
    "at": "małpa",
    "dot": "kropka",
    "dash": "myślnik",
    "underscore": "podkreślnik",
    "slash": "ukośnik",
    "colon": "dwukropek",
    "equals": "równa się",
    "question_mark": "znak zapytania",
    "ampersand": "i",
}
_SWEDISH = {
    "code": "ring, slå, ange, skriv, kod, koden, *kod, *koden, nummer, numret, *nummer, *numret, "
    "lösenord, lösenordet, pin, order, beställning, bokning, faktura, konto, kort, ärende, "
    "anknytning, siffror, slutar på",
    "phone": "telefon, tel, nummer, *nummer, mobil, fax, ring, ringa, på",
    "place": "lägenhet, rum, sal, plats, säte, rad, gate, perrong, spår, terminal, vagn, disk, "
    "bord, våning, hus, byggnad, linje, buss, spårvagn, tåg, klass, skåp, utgång, port",
    "line": "flyg, flight, flygnummer, tåg, linje, buss",
    "link": "är, var, lyder, nummer, kod, nr, din, ditt, er, ert",
    "login": "logga in, inloggning, verifiera, verifiering, engångs*, ange, skriv, tryck, "
    "bekräfta, giltig",
    "counted": "personer, människor, kunder, gäster, invånare, kronor, euro, öre, dollar, "
    "procent, gånger, sekunder, minuter, timmar, dagar, nätter, veckor, månader, år, kilometer, "
    "meter, stycken, poäng, sidor, steg, ord, grader, kilo, gram, liter, miljoner, tusen",
    "star": "stjärna",
    "pound": "fyrkant",
    "number": "nummer",
    "plus": "plus",
    "at": "snabel-a",
    "dot": "punkt",
    "dash": "bindestreck",
    "underscore": "understreck",
    "slash": "snedstreck",
    "colon": "kolon",
    "equals": "lika med",
    "question_mark": "frågetecken",
    "ampersand": "och",
}

WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "signs": _SIGNS,
        "*": _INTERNATIONAL,
        "en": _ENGLISH,
        "en-gb": {"pound": "hash"},
        "de": _GERMAN,
        "fr": _FRENCH,
        "es": _SPANISH,
        "es-419": {"pound": "numeral"},
        "es-mx": {"pound": "gato"},
        "it": _ITALIAN,
        "pt": _PORTUGUESE,
        "pt-pt": {"pound": "cardinal"},
        "ru": _RUSSIAN,
        "hi": HINDI,
        "zh": CHINESE,
        "ja": JAPANESE,
        "ko": KOREAN,
        "nl": _DUTCH,
        "pl": _POLISH,
        "sv": _SWEDISH,
    }
)
"""`signs` is the fallback for any language, `*` the words known in all of them but English."""
