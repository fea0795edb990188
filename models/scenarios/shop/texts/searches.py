"""How customers search the shop: templates, one a line, dealt out among the splits. Plain data.

`[a|b|]` is a choice. A template has the slots that its kind of search fills.
"""

from collections.abc import Mapping

TITLE, AUTHOR, ALIKE, GENRE_FOR_AGE, THEME, HELP = "title", "author", "alike", "genre_for_age", "theme", "help"

TEMPLATES: Mapping[str, str] = {
    TITLE: """
        {title}
        {title} [manga|volume {volume}]
        do you have {title}
        looking for {title}
        {title} by {author}
        where can I find {title}
        price of {title}
        is {title} in stock
        {title} complete set
        buy {title}
        {title} volume {volume} in {language}
        the manga called {title}
        how much is {title}
        show me {title}
        {title} paperback
        searching for [the series|] {title}
    """,
    AUTHOR: """
        {author}
        books by {author}
        [everything|all] by {author}
        what else did {author} draw
        manga from {author}
        {author} series
        anything [new|else] by {author}
        who is {author} and what did they write
        other works of {author}
        complete works {author}
        {author} books in stock
        I like {author}, what do you have
        more from the artist {author}
        newest manga by {author}
        does {author} have other series
        list of {author} titles
    """,
    ALIKE: """
        something like {title} but {than}
        similar to {title}, only {than}
        I loved {title}, what is {than}
        [a|any] series like {title} that is {than}
        books for fans of {title} but {than}
        if I liked {title} what should I read, {than} please
        like {title} yet {than}
        more of the same as {title} but {than}
        recommend me something in the vein of {title}, {than} though
        finished {title}, now I want something {than} of that sort
        {than} than {title} but the same type of story
        what comes close to {title} and is {than}
        in the mood of {title} but {than}
        another {title}, {than} this time
        manga that reads like {title} except {than}
        {title} was good, got anything {than}
    """,
    GENRE_FOR_AGE: """
        {genre} manga for a {age} year old
        {genre} for [kids of|children aged] {age}
        my [son|daughter] is {age} and likes {genre}
        {genre} suitable for age {age}
        a {genre} gift for someone who is {age}
        what {genre} can a {age} year old read
        safe {genre} for my {age} year old
        {genre}, reader is {age}
        good {genre} series for {age} year olds
        I teach {age} year olds, which {genre} is fine
        {genre} for a reader of {age} years
        present for my nephew, {age}, he reads {genre}
        {genre} nothing too grown up, age {age}
        a first {genre} book for a {age} year old
        {genre} I can give to a {age} year old without worries
        age {age}, wants {genre}
    """,
    THEME: """
        {genre} about {theme}
        manga about {theme}, {genre}
        {genre} with a lot of {theme}
        stories of {theme} in a {genre} setting
        I want {genre} that deals with {theme}
        {theme} {genre} [series|books]
        any {genre} on {theme}
        looking for {theme}, preferably {genre}
        {genre} where {theme} matters
        which {genre} series treats {theme}
        a {genre} read with {theme}
        best {genre} for {theme}
        something on {theme}, {genre} if possible
        {genre} manga {theme}
        recommend {genre} around {theme}
        show {genre} with {theme} in it
    """,
}  # fmt: skip

LIGHTER, DARKER, SHORTER, LONGER = "lighter", "darker", "shorter", "longer"

# How a wish against the book that was named is put.
WISHES: Mapping[str, str] = {
    LIGHTER: "lighter|less grim|more cheerful|not so dark",
    DARKER: "darker|more grim|heavier|not so cosy",
    SHORTER: "shorter|with fewer volumes|over sooner|not so long",
    LONGER: "longer|with more volumes|a bigger series|not over so soon",
}
