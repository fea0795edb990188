"""What the generated shop messages are filled with: titles, people, places, things, and the words around a request.

Titles are the names of known works, as facts, and invented ones; the rest is invented or common knowledge. Plain
data, one entry per line, in an order that mixes known and invented, English and Japanese: `intents` deals the
entries of every list out to train, dev and test in turn.
"""


def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.strip().splitlines())


# No title is part of another one: a title of the test set can then be searched for in the training texts.
TITLES = _lines("""
    One Piece
    Lantern Street Detectives
    Fullmetal Alchemist
    The Salt Witch of Hakodate
    呪術廻戦
    Naruto
    Moonlit Ramen Club
    Death Note
    Kaiju Kindergarten
    Vinland Saga
    Second Year Swordsmith
    鬼滅の刃
    Attack on Titan
    Paper Crane Requiem
    Chainsaw Man
    My Landlord Is a Tanuki
    Spy x Family
    The Last Tram to Nagasaki
    Berserk
    Ghost Postman Kenji
    月影探偵団
    Fruits Basket
    Clockwork Onigiri
    Slam Dunk
    Thirteen Bells Academy
    Haikyu
    Winter Cicada Diary
    Blue Period
    The Umbrella Thief
    進撃の巨人
    Golden Kamuy
    Starfall Librarian
    Jujutsu Kaisen
    Neon Koi
    Paradise Kiss
    Robot Grandma Returns
    Demon Slayer
    Harbour of Small Gods
    Monster
    Sakura Circuit
    星降る図書館
    Pluto
    Midnight Bento Express
    Dorohedoro
    The Violin at Floor Nine
    Hunter x Hunter
    Iron Petal
    Yotsuba&!
    Dragon Ball
    Fox Fire Orchestra
    Oyasumi Punpun
    Graveyard Idol Project
    葬送のフリーレン
    Ranma 1/2
    Courier of the Glass Sea
    Psyche Garden
    Kitchen Knights
    Sailor Moon
    The Quiet Ronin
    Bleach
    Apartment 404 Oracle
    Mob Psycho 100
    Hikari and the Paper Moon
    One Punch Man
    Tea House Assassin
    推しの子
    Uzumaki
    Seaweed Soldier
    Cardcaptor Sakura
    Binary Shrine Maiden
    Kaguya-sama
    The Goldfish War
    Black Butler
    Tomorrow's Typhoon
    Beastars
    Echo Valley Pilots
    雨の日の書店
    Inuyasha
    Sugar Dragon Bakery
    Tokyo Ghoul
    Rooftop Astronomers
    Gintama
    Ashes of the Ninth Gate
    Skip and Loafer
    Midori Drives a Taxi
    Delicious in Dungeon
    Snowblind Samurai
    Witch Hat Atelier
    Love Letters from Unit 7
    夜行バスの魔女
    Parasyte
    The Ink Drinker
    Horimiya
    Captain Daikon
    Land of the Lustrous
    Heartbeat Arcade
    Maison Ikkoku
    Tiger Lily Dojo
    A Silent Voice
    Origami Mechanic
    Banana Fish
    The Beetle King's Bride
    ちはやふる
    Dr. Stone
    Subway Exorcist
    Trigun Maximum
    Velvet Shogi
    Made in Abyss
    Twelve Kimono Mystery
    March Comes in Like a Lion
    Pumpkin Princess Gaiden
    Noragami
    Salaryman Dragon Slayer
    Food Wars
    The Whale Who Drew Comics
    海辺の喫茶店
    Kimi ni Todoke
    Crimson Abacus
    Hellsing
    Dandelion Detectives
""")

AUTHORS = _lines("""
    Naoki Urasawa
    Rumiko Takahashi
    Haruka Mizushima
    Junji Ito
    Taro Kanebayashi
    CLAMP
    Eiichiro Oda
    Sayo Ichinose
    Inio Asano
    Ai Yazawa
    Kenta Fujimori
    Hiromu Arakawa
    Q Hayashida
    Mika Torigoe
    Osamu Tezuka
    Takehiko Inoue
    Yuu Amagase
    Kohei Horikoshi
    Tatsuki Fujimoto
    Rei Shirakawa
    Makoto Yukimura
    Jun Asakusa
    Akira Toriyama
    Mitsuru Adachi
""")

GENRES = _lines("""
    shonen
    romance
    slice of life
    horror
    sports
    seinen
    mystery
    isekai
    cooking
    mecha
    dark fantasy
    josei
    historical
    comedy
    cyberpunk
    shojo
    supernatural
    school life
    psychological thriller
    post-apocalyptic
    martial arts
    music
    science fiction
    medical drama
    adventure
    romantic comedy
    detective
    magical girl
    vampire
    samurai
    found family
    time travel
""")

ITEMS = _lines("""
    box set
    omnibus
    art book
    hardcover
    light novel
    collector's edition
    figure
    deluxe edition
    poster
    starter bundle
    keychain
    3-in-1 edition
    slipcase
    guidebook
    colour edition
    calendar
    paperback
    plushie
    manga bundle
    acrylic stand
    perfect edition
    volume
    tote bag
    anniversary edition
""")

PLACES = _lines("""
    Canada
    Berlin
    Osaka
    Mexico
    Ireland
    Manila
    Toronto
    Brazil
    Hokkaido
    Seattle
    Spain
    Singapore
    Glasgow
    Norway
    Lyon
    Sydney
    Alaska
    Poland
    Okinawa
    Austria
    New Zealand
    Boston
    Portugal
    Malaysia
    Hawaii
    Fukuoka
    Belgium
    Chicago
    Sweden
    Kyoto
    Auckland
    Italy
""")

OPENERS = _lines("""
    Hi,
    Hello there,
    Hey,
    Good morning!
    Hi team,
    Hello,
    Hey there!
    Hope you're having a nice day.
    Good evening,
    Sorry to bother you, but
    Hiya,
    Quick one:
    こんにちは!
    So,
    Hello MangaAssist,
    Ok so
    Excuse me,
    I have a question.
    Greetings from a fellow otaku!
    Um, hi,
    Dear shop,
    Hope you can help me out.
    Yo,
    Hi again,
    Morning,
    Not sure this is the right place, but
    Hey guys,
    Just wondering,
    Good afternoon,
    Right,
    First time writing here.
    Hello bot,
""")

CLOSERS = _lines("""
    Thanks!
    Thank you so much.
    Please let me know.
    Cheers
    Thanks in advance!
    Any help is appreciated.
    ty
    Have a great day!
    Looking forward to hearing from you.
    thx :)
    I'd be really grateful.
    ありがとう!
    Sorry for the trouble.
    Appreciate it.
    Let me know asap please.
    Many thanks, Kim
    Best wishes
    :)
    Hope that makes sense.
    That's all!
    Thank you kindly
    Hoping for a quick answer.
    Arigato!
    Kind regards, Alex
    That would be lovely.
    much appreciated
    Can you help?
    Thanks a bunch!
    Hope to hear back soon.
    cheers, Dana
    Bye for now
    Take care!
""")

# Said before or after the request; true of people with any intent, so they carry none.
ASIDES = _lines("""
    I've been reading {title} since school.
    I've shopped with you for years.
    My sister told me about your shop.
    I'm a huge fan of {author}.
    I just finished {title} last night and loved it.
    I'm writing from my phone so excuse the typos.
    It's been a long week.
    My whole shelf is {genre} by now.
    I live in {place} by the way.
    My English is not perfect, sorry.
    I couldn't find it in the FAQ.
    I'm at work so I may answer late.
    The website looks great by the way.
    I mostly read {genre}.
    I'm new here.
    My friend in {place} uses your shop too.
    I asked on your social page as well.
    I'm re-reading {title} at the moment.
    I saw {title} on your front page.
    We are a small reading club in {place}.
    I love your packaging.
    I usually buy in the shop in {place}.
    {author} is the reason I started reading.
    I hope someone reads this.
    I had a look around the site first.
    My partner collects {genre} too.
    I am typing this on the train.
    It's for my collection.
    Your shop is the best for {genre}.
    I tried the search already.
    I own everything by {author}.
    My cat knocked over my {title} shelf today, haha.
""")

# What hurried people put before or after a few words.
TAGS = _lines("""
    pls
    urgent
    hi
    help
    quick q
    asap
    hello
    question
    hey
    thx
    any1 know
    sry
    ok
    plz
    yo
    again
    please
    hmm
    ty
    lol
    quick help
    need to know
    um
    tia
    hallo
    so
    one more thing
    real quick
    ok and
    just asking
    hiya
    cheers
""")

A_THINGS = _lines("""
    a book
    a manga
    an artbook
    a figure
    a box set
    a comic
    a preorder
    a light novel
    a gift
    a paperback
    a present
    a graphic novel
    an omnibus
    a poster
    a bundle
    a calendar
""")

# Which list fills which slot. The other slots (order numbers, prices, ages, days) are drawn as numbers or words.
LISTS: dict[str, tuple[str, ...]] = {
    "title": TITLES,
    "author": AUTHORS,
    "genre": GENRES,
    "item": ITEMS,
    "place": PLACES,
    "a_thing": A_THINGS,
}
