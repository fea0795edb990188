"""What the invented manga of the catalogue are made of: genres with their words, names, places, publishers. Plain data.

A title takes a noun of its genre, so that it hints at what the book is about, as titles do.
"""

from dataclasses import dataclass


def _words(line: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in line.split("|"))


def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.strip().splitlines())


@dataclass(frozen=True)
class Genre:
    """What the titles of a genre are made of.

    `mood` is the range from 1, light, to 5, dark. `ages` are the marks that its titles get, from the lightest to the
    darkest. `warnings` stand in the content notes of the darker ones.
    """

    name: str
    nouns: tuple[str, ...]
    heroes: tuple[str, ...]
    troubles: tuple[str, ...]
    themes: tuple[str, ...]
    mood: tuple[int, int]
    ages: tuple[int, ...]
    warnings: tuple[str, ...]


GENRES = (
    Genre(
        "mystery",
        _words(
            "Detective|Alibi|Locksmith|Riddle|Witness|Cipher|Inspector|Clue|Footprint|Secret|Investigator|Keyhole"
            "|Blackmailer|Verdict|Puzzle|Coroner"
        ),
        _words(
            "a retired detective|a schoolgirl with perfect memory|a night watchman|a forger who went straight"
            "|twin reporters|a blind piano tuner|a lawyer without clients|a boy who reads lips"
        ),
        _words(
            "a murder in a locked archive|letters from a man long dead|a theft that nobody reports"
            "|a village that keeps one lie|a witness who changes the story each week|missing pages of a diary"
            "|a chain of staged accidents|a jury that vanishes"
        ),
        _words("deduction|family secrets|justice|guilt|old cases|trust"),
        (2, 5), (10, 13, 13, 16), ("violence", "crime"),
    ),
    Genre(
        "cooking",
        _words(
            "Ramen|Bakery|Chef|Kitchen|Dumpling|Noodle|Tavern|Bento|Pastry|Spice|Apron|Broth|Cake|Skillet|Teahouse"
            "|Market Stall"
        ),
        _words(
            "a chef who lost her taste|a sushi apprentice|a lunch lady|a travelling baker|a food critic in hiding"
            "|three brothers with one stove|a grandmother and her rival|an office clerk who cooks at night"
        ),
        _words(
            "a contest that the house must win|a recipe torn in half|a landlord who wants the kitchen"
            "|guests who will not eat|a town without salt|a famous rival across the street|a debt paid in meals"
            "|an inspector with a grudge"
        ),
        _words("food|craft|rivalry|comfort|second chances|family business"),
        (1, 3), (0, 0, 10, 13), ("alcohol", "strong language"),
    ),
    Genre(
        "sports",
        _words(
            "Goalkeeper|Sprint|Court|Pitcher|Racket|Marathon|Serve|Dugout|Cyclist|Swimmer|Referee|Captain|Rally|Boxer"
            "|Relay|Archer"
        ),
        _words(
            "a substitute keeper|a runner with one good knee|a team of nine beginners|a coach nobody wants"
            "|a shy serving ace|two sisters on one bicycle|a swimmer afraid of deep water|a boxer in a library"
        ),
        _words(
            "a last season before the club closes|a rival school with new money|an injury kept secret"
            "|a final that was lost before|a feud inside the team|a bet with the principal|a champion who quit"
            "|a summer of double training"
        ),
        _words("teamwork|rivalry|training|injury|underdogs|school clubs"),
        (1, 3), (0, 10, 10, 13), ("strong language", "injuries"),
    ),
    Genre(
        "horror",
        _words(
            "Graveyard|Exorcist|Hollow|Nightmare|Crypt|Haunting|Spider|Doll|Whisper|Well|Corpse|Asylum|Shadow|Curse"
            "|Maggot|Cellar"
        ),
        _words(
            "a caretaker of graves|a girl without a shadow|a doctor on call at night|a family in a new house"
            "|a priest who lost his faith|a radio host|a class on a winter trip|a collector of dolls"
        ),
        _words(
            "a well that answers|a house with one door too many|a sickness of dreams|faces in the wallpaper"
            "|a song that must not end|a guest who was never invited|teeth under the floor|a town that stays awake"
        ),
        _words("ghosts|body horror|dread|folklore|madness|survival"),
        (4, 5), (13, 16, 16, 18), ("frightening scenes", "gore"),
    ),
    Genre(
        "romance",
        _words(
            "Love Letter|Bride|Kiss|Valentine|Confession|Wedding|Sweetheart|Rose|Heartstring|Proposal|Crush|Promise"
            "|Bouquet|Blush|First Date|Suitor"
        ),
        _words(
            "a florist who never dates|two rivals at one desk|a shy letter writer|a bride who ran away"
            "|a widowed tailor|childhood friends|a singer and her driver|a student and the boy next door"
        ),
        _words(
            "a marriage on paper|a confession sent to the wrong person|a year apart|parents who forbid it"
            "|a promise made at six|one flat for two|a rumour all over school|a job in another city"
        ),
        _words("first love|jealousy|growing up|distance|honesty|weddings"),
        (1, 3), (10, 13, 13, 16), ("mature themes", "alcohol"),
    ),
    Genre(
        "slice of life",
        _words(
            "Laundry|Veranda|Bus Stop|Neighbour|Afternoon|Stationery Shop|Diary|Garden|Commute|Umbrella|Cat Cafe|Attic"
            "|Bathhouse|Sunday|Staircase|Grocer"
        ),
        _words(
            "a bus driver|four flatmates|a shop cat|a postwoman on an island|a father with a day off"
            "|a student who moves to the coast|a retired teacher|a girl who mends umbrellas"
        ),
        _words(
            "a leaking roof|a spring that comes late|the last week before the move|a stray dog that stays"
            "|a festival without money|a neighbour who never greets|a garden gone wild|a quiet birthday"
        ),
        _words("friendship|everyday life|seasons|neighbours|healing|small towns"),
        (1, 2), (0, 0, 0, 10), ("alcohol", "grief"),
    ),
    Genre(
        "science fiction",
        _words(
            "Orbit|Android|Robot|Starship|Colony|Satellite|Pilot|Circuit|Airlock|Comet|Cyborg|Gravity|Telescope|Reactor"
            "|Astronaut|Signal"
        ),
        _words(
            "a mechanic on a mining moon|the last human pilot|an android nurse|a smuggler of seeds"
            "|a crew of five teenagers|a cartographer of comets|a clone with a diary|an engineer in exile"
        ),
        _words(
            "a signal from a dead ship|air for nine days|a war between two stations|a machine that dreams"
            "|a colony that forgot the earth|a mutiny in cold sleep|an order to erase memories"
            "|a door that opens in the past"
        ),
        _words("space travel|machines|identity|survival|war|first contact"),
        (2, 5), (10, 13, 13, 16), ("violence", "war"),
    ),
    Genre(
        "dark fantasy",
        _words(
            "Blade|Throne|Witch|Demon|Raven|Ash|Warlock|Bone|Wolf|Executioner|Thorn|Plague|Knight|Ruin|Dragon|Gallows"
        ),
        _words(
            "a hired sword|a witch without a coven|a prince in chains|a gravedigger's daughter|a knight without an oath"
            "|a child sold to a demon|an executioner|a plague doctor"
        ),
        _words(
            "a throne that eats its kings|a bargain that cannot be undone|a siege in the long winter"
            "|a forest that hunts|a war of two dead gods|a brother on the other side|a curse passed by touch"
            "|a price on her head"
        ),
        _words("revenge|monsters|betrayal|war|magic at a price|survival"),
        (4, 5), (13, 16, 16, 18), ("violence", "gore"),
    ),
    Genre(
        "isekai",
        _words(
            "Guild|Summoner|Slime|Respawn|Quest|Level|Hero Party|Portal|Dungeon|Adventurer|Goblin|Tower|Merchant|Skill"
            "|Inventory|Other World"
        ),
        _words(
            "an accountant reborn as a slime|a bus full of students|a cook summoned by mistake|a lazy hero"
            "|a librarian with one spell|a villain's butler|a nurse in armour|a gamer who never lost"
        ),
        _words(
            "a tower of a hundred floors|a king who summons too many|a skill that nobody wants|a guild in debt"
            "|a demon lord on strike|rules that change each night|a way home that closes|a war over maps"
        ),
        _words("games|magic|found family|economy|revenge|second chances"),
        (1, 4), (10, 13, 13, 16), ("violence", "mature themes"),
    ),
    Genre(
        "historical",
        _words(
            "Samurai|Shogun|Castle|Courtesan|Ronin|Silk Road|Lacquer|Magistrate|Kimono|Swordsmith|Harbour|Woodblock"
            "|Emperor|Teacup|Ferryman|Calligrapher"
        ),
        _words(
            "a ronin with a ledger|a woodblock carver|a court physician|a ferryman's son|a spy among actors"
            "|a widow who deals in silk|a young shogun|a bell founder"
        ),
        _words(
            "a famine that the court denies|a duel put off for ten years|a forbidden print|a fire in the old quarter"
            "|a treaty with strangers|a rebellion of farmers|a stolen seal|a road closed by war"
        ),
        _words("honour|politics|craft|war|class|tradition"),
        (2, 5), (10, 13, 16, 16), ("violence", "mature themes"),
    ),
    Genre(
        "music",
        _words(
            "Violin|Drummer|Choir|Melody|Piano|Guitar|Encore|Bassline|Trumpet|Lullaby|Duet|Orchestra|Record Shop|Chorus"
            "|Amplifier|Tempo"
        ),
        _words(
            "a deaf composer|a band of five cousins|a street violinist|a sacked conductor|a drummer who cannot count"
            "|a choir of pensioners|a pianist with stage fright|a repairer of guitars"
        ),
        _words(
            "a concert in three weeks|a song stolen by a star|a hall about to be pulled down|a split on tour"
            "|a broken hand|a teacher who never praises|a contest by letter|a record that was never sold"
        ),
        _words("bands|stage fright|talent|friendship|ambition|loss"),
        (1, 3), (0, 10, 13, 13), ("strong language", "grief"),
    ),
    Genre(
        "magical girl",
        _words(
            "Wand|Ribbon|Starlight|Tiara|Moonbeam|Fairy|Sparkle|Rainbow|Locket|Unicorn|Twinkle|Charm|Petal|Wish|Comb"
            "|Mirror"
        ),
        _words(
            "a clumsy star guardian|five girls and a talking hedgehog|a girl with a broken wand|a princess in class 4B"
            "|a guardian of lost things|a witch in training|a part time fairy|two best friends with one locket"
        ),
        _words(
            "a shadow that steals wishes|a mirror queen|exams by day and monsters by night|a friend under a spell"
            "|a festival without stars|a rival with the same powers|a wish gone wrong|a gate under the school"
        ),
        _words("friendship|courage|school|wishes|transformation|kindness"),
        (1, 3), (0, 0, 10, 10), ("frightening scenes", "grief"),
    ),
)  # fmt: skip

# No word of these stands in a title of fillers.TITLES together with a noun from above.
ADJECTIVES = _words(
    "Silent|Crooked|Seventh|Painted|Lonely|Borrowed|Golden|Hidden|Sleepless|Paper|Scarlet|Wandering|Frozen|Honest|Tiny"
    "|Forgotten|Thunder|Velveteen|Left-Handed|Homesick|Copper|Invisible|Reluctant|Midsummer|Broken|Cheerful|Salted"
    "|Indigo|Stubborn|Barefoot|Counterfeit|Electric|Gentle|Hungry|Ivory|Jealous|Kindly|Last|Marble|Nameless|Opal"
    "|Patient|Quarrelsome|Rusty|Second-Hand|Twilight|Unlucky|Violet|Wooden|Yawning|Amber|Backstage|Clever|Drowsy"
    "|Emerald|Foggy|Grumpy|Harvest|Inkstained|Jade|Lantern-Lit|Misty|Northern|Orphaned"
)

PLACES = _words(
    "Amagiri|Birch Lane|Coral Bay|Dustwater|Eastgate|Fennel Hill|Gull Island|Higashimori|Iwabune|Juniper Street"
    "|Kurosawa Pass|Low Tide|Alder Lake|Nanohana|Old Quarry|Plum Valley|Quiet Town|Rook Square|Shirahama Road"
    "|Tanuki Dell|Umber Canal|Vine Passage|Willow Bridge|Yonder|Ashikaga Lane|Bell Crossing|Cinder Row|Dawn Terrace"
    "|Elm Corner|Fox Hill|Granite Cove|Heron Park"
)

# How a title is put together from an adjective, a noun of its genre, a place and a name.
TITLE_FORMS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "The {noun} of {place}",
    "{noun} at {place}",
    "{adjective} {noun} Chronicle",
    "{name} and the {adjective} {noun}",
    "My {adjective} {noun}",
    "{name}'s {noun}",
)

GIVEN_NAMES = _words(
    "Aiko|Botan|Chihiro|Daigo|Eriko|Fumio|Ginko|Hayato|Ibuki|Jiro|Kaede|Leiko|Mamoru|Nagisa|Orie|Placido|Ryoma|Sumire"
    "|Toma|Ukyo|Wakana|Yuzuki|Asahi|Benio|Chitose|Emon|Futaba|Goro|Hotaru|Izumi|Juzo|Kiyomi|Matsu|Noboru|Otome|Reiji"
    "|Saburo|Tsubaki|Umeko|Yahiro|Anzu|Chika|Eitaro|Fuyuko|Hideo|Iori|Kanade|Masaru|Natsume|Okiku|Rintaro|Shiori"
    "|Takeshi|Usagi|Wataru|Yoriko|Akemi|Daiki|Etsuko|Hinata|Isamu|Koharu|Mio|Ren"
)

FAMILY_NAMES = _words(
    "Abukuma|Bandai|Chigira|Domyoji|Ebihara|Fukazawa|Gamou|Hirasaki|Ichimura|Jinbo|Kanzaki|Lindqvist|Mikumo|Nishikido"
    "|Okitsu|Renjou|Sakaguchi|Tamagawa|Uehara|Wakui|Yatsuhashi|Arima|Bessho|Chinen|Dazai|Enokido|Furuta|Godai|Hanabusa"
    "|Inokuma|Jounouchi|Kagemori|Machida|Nanba|Ogawara|Rokujo|Shindo|Tachiki|Urabe|Washio|Yomogida|Akagi|Chosokabe"
    "|Edogawa|Funaki|Hakamada|Isurugi|Kirishima|Minakuchi|Nogami|Onodera|Sagisawa|Tsuji|Umehara|Yukihira|Amano|Doihara"
    "|Haneda|Iwasaki|Kosaka|Morino|Natori|Osaragi|Tokiwa"
)

SETTINGS = _lines("""
    in a harbour town that sleeps under fog
    at a boarding school in the mountains
    on the last night train of the year
    in the back streets behind the fish market
    at a hotel that is closing for good
    on an island with one ferry a week
    in a tower block of four hundred doors
    at a shrine between two motorways
    in the cellar of an old department store
    on a boat that never docks
    in a valley where it always rains
    at a petrol station on a desert road
    in a capital that burned down twice
    at the far end of a tram line
    in a mill town after the mill
    on a rooftop above the arcades
    in a library without windows
    at a mountain hut in the snow
    in the flooded half of the city
    on the border of two quarrelling provinces
    at a fairground out of season
    in a glass house full of moths
    on a plateau of standing stones
    at an observatory that lost its funding
    in a hospital on the hill
    along a river that changes its bed
    in a dormitory under the rails
    at a theatre with one play
    among the terraces of a tea farm
    in a museum of clocks
    on a lighthouse rock
    at a school of three pupils
""")

TWISTS = _lines("""
    Nobody believes it until the second winter.
    What starts as a favour becomes a way of life.
    Every chapter is told by somebody else.
    The truth is kinder than the rumour.
    There is a map, and it is wrong.
    Help comes from the one person nobody asked.
    It takes a stranger to see what is missing.
    The bill arrives in the final volume.
    Old friends turn out to have other plans.
    A single photograph changes everything.
    The answer was in the first chapter all along.
    Not everyone who leaves comes back the same.
    In the end there is a chair too few at the table.
    One small lie keeps the peace, for a while.
    The clock is always ten minutes fast.
    Then a letter without a stamp is found.
    Winning turns out to be the easy part.
    There are two sides to it, and a third.
    By spring they hardly know each other.
    The dog knows more than it lets on.
    Somebody has been keeping count.
    It ends where nobody dared to look.
    The rules were made to be rewritten.
    Each kindness is paid back with interest.
    Nothing is thrown away in this story.
    An apology comes thirty years late.
    The quietest of them has the last word.
    A promise is only as good as its witness.
    All of it hangs on a borrowed coat.
    They learn what silence costs.
    The villain has the better arguments.
    The way back is longer than the way there.
""")

# How a mood reads, from 1, light, to 5, dark; the first words of each are what readers call it.
MOODS = {
    1: _words("light and funny|warm-hearted|cosy|cheerful"),
    2: _words("gentle|easy-going|bittersweet|charming"),
    3: _words("dramatic|stirring|thoughtful|tense at times"),
    4: _words("dark|grim in places|unsettling|heavy"),
    5: _words("very dark|harrowing|bleak|merciless"),
}

IMPRINTS = _words("Tidewater Comics|Blue Heron Press|Kitsune House|Ninth Bell|Pocket Moon|Garden Gate Books")

LANGUAGES = {"English": 0.62, "Japanese": 0.18, "Spanish": 0.08, "French": 0.07, "German": 0.05}

EDITORIAL_TAGS = _words("staff pick|award winner|hidden gem|reader favourite|great gift|screen adaptation")
