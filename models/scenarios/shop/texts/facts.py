"""How customers ask for one fact of a series, with `{title}` for its name: eight ways each, dealt to the splits."""

FACTS: dict[str, str] = {
    "volumes": """
        how many volumes does {title} have?
        how long is {title}?
        {title}, how many books is that?
        number of volumes of {title}?
        how much shelf space does {title} need, in volumes?
        how many books are there of {title}?
        what is the volume count of {title}?
        of how many volumes is {title} made up?
    """,
    "author": """
        who wrote {title}?
        who is the author of {title}?
        {title} is by whom?
        name of the author of {title}?
        who made {title}?
        who drew {title}?
        whose work is {title}?
        who is behind {title}?
    """,
    "age": """
        what is the age rating of {title}?
        from which age is {title}?
        how old must a reader of {title} be?
        age limit of {title}?
        for which age is {title} meant?
        what rating does {title} carry?
        is there an age limit on {title}, and which?
        what age is {title} for?
    """,
    "price": """
        what does a volume of {title} cost?
        price of {title}?
        how much is one volume of {title}?
        what do I pay for a volume of {title}?
        how expensive is {title} per volume?
        what is the price of a volume of {title}?
        how much do you want for one book of {title}?
        {title}, how much for a volume?
    """,
    "imprint": """
        who publishes {title}?
        which imprint is {title} from?
        publisher of {title}?
        {title} is published by whom?
        at which house did {title} come out?
        what imprint brings out {title}?
        who brings out {title}?
        whose imprint is on {title}?
    """,
    "year": """
        since when does {title} run?
        in which year did {title} begin?
        first year of {title}?
        when did {title} start?
        from what year is {title}?
        in what year did the first volume of {title} come out?
        how old is {title}, which year is it from?
        when was {title} first published?
    """,
}
