"""What changes in the shop month by month in 2026: seasonal requests, new titles, and new names for old things.

Templates as in `mct.models.scenarios.shop.phrases`: one a line, in blocks of eight subjects. Titles are invented.
"""

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06")

# How much of a month's messages each seasonal request makes up; before its first month nobody has heard of it.
SEASONAL_SHARES: dict[str, dict[str, float]] = {
    "lucky_bag": {"2026-01": 0.12, "2026-02": 0.04, "2026-03": 0.02, "2026-04": 0.02, "2026-05": 0.02, "2026-06": 0.02},
    "gift_guide": {"2026-02": 0.12, "2026-03": 0.08, "2026-04": 0.03, "2026-05": 0.04, "2026-06": 0.03},
    "convention_pickup": {"2026-04": 0.1, "2026-05": 0.12, "2026-06": 0.06},
}

SEASONAL_TEMPLATES: dict[str, str] = {
    "lucky_bag": """
        what is [inside|in] the lucky bag this year?
        how much does a [lucky bag|fukubukuro] cost?
        are there lucky bags left with {genre} in them?
        can I [swap|exchange] a book from my lucky bag?
        when do the lucky bags go on sale?
        I got {title} twice in my lucky bag, [what now|is that right]?
        is there a [small|cheap] lucky bag for {price} or so?
        how many volumes are in the [big|golden] lucky bag?
        one lucky bag a person, [or may I take two|is that the rule]?
        do you still have a fukubukuro [today|in the shop]?
        I would like a lucky bag [without|that has no] {genre}
        is the {item} part of the new year lucky bag?
        which lucky bag [has|contains] {title}?
        the lucky bag [is sold out|shows sold out], will there be more on {day}?
        tell me what the lucky bags of last year [had in them|contained]
        are lucky bags [fit|okay] for a {age} year old?
    """,
    "gift_guide": """
        I need a present for somebody who [loves|reads] {genre}, where is your gift guide?
        what do you [suggest|offer] as a valentine gift for a manga fan?
        do you wrap {title} as a [gift|present]?
        gift ideas [under|below] {price} please
        can you put a [card|note] into the gift box with {title}?
        which gift set is [good|nice] for a graduation?
        is there a gift guide for [white day|mother's day]?
        I look for a gift for my [boyfriend|girlfriend], who has every {title} already
        gift wrapping for a {item}, [how much|is it free]?
        do you have gift [baskets|sets] with tea and manga?
        what would a fan of {author} [like|want] for a present?
        send the gift straight to my friend, [without a bill|no price inside]
        the gift guide page is [empty|not there], can you send it to me?
        show me your [gift picks|presents] for {genre} readers
        which {item} makes the [best|nicest] gift?
        a present for a teacher who likes manga, any [idea|gift tip]?
    """,
    "convention_pickup": """
        can I pick up {title} at your booth at the convention?
        which hall is your [stand|booth] in at the con?
        reserve the {item} for pickup at the convention on {day}
        do I need my con badge to [collect|pick up] order {order}?
        is the convention exclusive {item} still [to be had|available for pickup]?
        until when can I [collect|fetch] things at the booth on {day}?
        pick up at the con instead of shipping, [how do I choose that|is that possible]?
        will {author} sign at your convention [booth|stand]?
        somebody else shall collect {order} at the con for me, [okay|what do they need]?
        I missed the convention pickup of {order}, [what happens now|where is it]?
        how long is the [line|queue] for con pickups?
        can I pay at the booth when I [pick up|collect] {title}?
        move my pickup at the convention [to|from] {day}
        does con pickup [cost|save] anything?
        which titles do you [bring|take] to the convention for pickup?
        the booth said {order} is not in their pickup list, [why|please check]
    """,
}

# From its month on, customers use the new name instead of the old one in six of ten places.
RENAMED: dict[str, dict[str, str]] = {
    "2026-02": {"parcel": "KoiBox", "package": "KoiBox"},
    "2026-03": {"refund": "InkBack", "return": "swapback"},
    "2026-04": {"card": "SnapPay", "courier": "KoiRider"},
    "2026-05": {"account": "InkID", "password": "passphrase"},
    "2026-06": {"order": "haul", "box set": "shelf set"},
}
RENAMED_SHARE = 0.6

# Asked about in their month in every other place where a title stands. Dealt to the splits as the others are.
NEW_TITLES: dict[str, tuple[str, ...]] = {
    "2026-01": (
        "Snowplough Samurai", "Kotatsu Detectives", "The Quiet Foundry", "Lantern Fish Diaries",
        "Sea of Paper Masks", "Tofu Rhapsody", "The Crane Accountant", "Midwinter Pitchers",
    ),
    "2026-02": (
        "Chocolate for the Oni", "Plum Rain Postcards", "Iron Ribbon", "Ferryman of Aomori",
        "A Letter to Unit Nine", "Duckweed Prince", "The Loud Library", "Second Hand Halo",
    ),
    "2026-03": (
        "Graduation Kaiju", "Wind over Tatami Field", "The Borrowed Sword", "Noodle Cart Exorcist",
        "Blue Abacus", "Moth and Lantern", "The Understudy King", "Hanami Heist",
    ),
    "2026-04": (
        "First Year Ninja Clerk", "Petal Engine", "The Owl at Gate Six", "Bamboo Orbit",
        "Dumpling Knights", "Ghost of the Ring Road", "Saffron Circuit", "The Long Bath",
    ),
    "2026-05": (
        "Carp Streamer Boys", "Clay Pilots", "The Mountain Owes Me", "Green Tea Gangsters",
        "Whistle for Yokai", "The Glass Bus", "Tin Shrine Sisters", "Ramune Requiem",
    ),
    "2026-06": (
        "Rainy Season Rebels", "Snail Express", "The Umbrella Court", "Hydrangea Files",
        "Swimming Club Alchemy", "Fireflies Anonymous", "The Paper Lifeguard", "Cicada Overdrive",
    ),
}  # fmt: skip
