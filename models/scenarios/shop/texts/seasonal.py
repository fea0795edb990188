"""How customers put requests that come and go with the year: templates, dealt out among the splits. Plain data.

One template per line; `[a|b|]` is a choice, `{title}` a slot.
"""

from collections.abc import Mapping

# The newest last, with how many examples a labeller had when it came up.
EXAMPLES: Mapping[str, int] = {"holiday_gift_guide": 4, "convention_pickup": 3, "lucky_bag": 3, "signing_ticket": 2}

TEMPLATES: Mapping[str, str] = {
    "holiday_gift_guide": """
        do you have a gift guide for the holidays?
        what should go under the tree for a {genre} fan?
        [christmas|holiday] present ideas for my [brother|niece], she reads {genre}
        which {item} makes a good stocking filler?
        I need presents for {n} people by [the 24th|christmas eve], what do you suggest?
        is there a list of gift ideas under {price}?
        your holiday picks, where do I find them?
        secret santa at work, {price} at most, something from your shop?
        can you put together a festive parcel for a {genre} reader?
        what are this year's favourites to give away at christmas?
        a present for somebody who has read all of {title}?
        advent calendar or {item}, what do people like more as a present?
        show me the seasonal gift page
        gift wrapped and chosen by you, is that offered in december?
        last year you had a present finder for the holidays, is it back?
        help me choose holiday gifts for [my whole family|three teenagers]
    """,
    "convention_pickup": """
        can I collect my order at your booth at the convention?
        pickup at the con, which hall are you in?
        I am going to the [anime|comic] fair in {place}, can {title} be handed over there?
        is collecting at the expo free?
        do you bring reserved {item} to your stand?
        I chose booth pickup but I cannot go on {day}, what now?
        until when do you keep con orders at the stand?
        what do I have to show at the booth to get my books?
        my friend is at the convention, may he fetch my {item} from you?
        will you be at the fair in {place} with preorders?
        convention pickup for {order}, which day is it?
        switch {order} from post to collecting at your con stand
        the queue at your booth is endless, is there a line for collections?
        how do I choose to collect at the fair when I order?
        is everything in the shop available for pickup at the con?
        I missed my slot at your stand in {place}
    """,
    "lucky_bag": """
        when do the lucky bags go on sale?
        what is inside the new year mystery bag?
        are there fukubukuro this january?
        how much is a lucky bag?
        can I swap a book from my lucky bag that I own already?
        does the surprise bag come in a {genre} version?
        how many lucky bags may one person buy?
        are the mystery bags sold out?
        my lucky bag had {n} books in it, is that right?
        is there a lucky bag for children?
        福袋はありますか?
        reserve me one of the surprise bags please
        what was in last year's fukubukuro?
        is a lucky bag worth more than {price}?
        do you send mystery bags to {place}?
        which {item} could be in the new year bag?
    """,
    "signing_ticket": """
        how do I get a ticket for the signing with {author}?
        is the autograph session sold out?
        do I have to buy {title} to have it signed?
        when does {author} sign in your shop?
        can I bring my own copy to the signing?
        my ticket for the signing has the wrong name
        how many books will {author} autograph for each visitor?
        is there a waiting list for the meet and greet?
        may children come to the autograph session without a ticket?
        I cannot make it to the signing, can I pass my ticket on?
        what time should I queue for {author} on {day}?
        can I order a signed copy if I cannot come?
        are photos allowed when {author} signs?
        is the session with {author} in the shop in {place}?
        a signing ticket for two, please
        will there be another date with {author}?
    """,
}
