"""What the shop's assistant says: a body for each of the ten requests, and the five styles it can be said in.

Written as in `mct.models.scenarios.shop.phrases`: one body per line, `[a|b|]` is a choice, `{title}` a slot. A body is
taken only where the request has filled all of its slots. None tells the state of an order, an account or a payment,
which nobody has looked up; none gives an ending away; and none names a title to a young reader without its rating.
"""

BODIES: dict[str, str] = {
    "order_tracking": """
        I [can|will] look up {order} once you [tell me|give me] the postcode on the order.
        To find {order} I need the postcode that it was sent to.
        Please give me the postcode for {order}, then I can see what the courier says.
        I [can|will] trace the parcel with {title} by its order number and postcode.
        For the parcel with {title} I need the order number and the postcode.
        The parcel with your {item} can be traced by its order number and postcode.
        I [can|will] trace it once I have the order number and the postcode.
        Please send me the order number and the postcode, and I will ask the courier.
    """,
    "returns": """
        You can send {title} back within thirty days, [unread and in its wrapping|as it came].
        A return of {title} begins on the page of your order, where you print the label.
        For {order} you find the return label on the page of the order.
        I [can|will] begin a return for {order}, please tell me which book it is.
        Your {item} can go back within thirty days, the label is on the page of the order.
        If the {item} came damaged, a photo of it is all that we need.
        You have thirty days to send things back, and the label is on the page of the order.
        Returns are free for thirty days, and damaged books are replaced at no cost.
    """,
    "recommendation": """
        If you like {title}, the shelf beside it is a good place to begin.
        Readers of {title} often go on with our staff picks of the same genre.
        For {genre} I would begin with the first volumes on our staff picks shelf.
        Our {genre} shelf has a row of first volumes, so you can try several.
        Fans of {author} find more of that hand in our author pages.
        Tell me [two titles|a title] that you loved, and I will find what is near to them.
        Our staff picks change every month, and each has a first volume to try.
        Which mood are you looking for, [calm or thrilling|funny or dark]?
    """,
    "age_sensitive_recommendation": """
        For a reader of {age} I only name titles that are rated for {age} or younger.
        The rating is on every title page, and for {age} years I keep to those at or below it.
        At {age} our shelf for young readers is the right place, every title there is rated.
        Before a reader of {age} opens {title}, please look at its rating on the title page.
        {title} has its rating on the title page, and I keep to it.
        For {genre} and a reader of {age} I look at the rating first.
        I look at the rating on the title page first, and keep to it.
        How old is the reader? I only name titles that are rated for that age.
    """,
    "product_question": """
        The page of {title} [lists|shows] its volumes, its size and its language.
        You find the paper, the size and the language of {title} on its page.
        Volume {volume} of {title} has a page of its own with all details.
        The {item} is described on its page, with its size and what is in it.
        Whatever we know of the {item} stands on its page, pictures too.
        Which edition do you mean? Each has its details on its page.
        The details stand on the page of the title, and I can read them out to you.
    """,
    "availability": """
        The page of {title} shows how many copies are [left|on the shelf].
        If {title} is sold out, the bell on its page tells you when it is back.
        Volume {volume} of {title} has a bell on its page for the day it is back.
        Whether the {item} is in stock stands on its page, and it is counted every hour.
        Press the bell on the page of the {item}, and you hear from us when it is back.
        The stock of {place} and of the warehouse stand side by side on the page.
        Tell me the title, and I will look at the shelf for you.
    """,
    "checkout": """
        The code {code} is entered in the last step, below the sum.
        If {code} is refused, please look whether it is for a first order only.
        The sum of {price} is only taken when the order leaves us.
        With a refused card nothing is taken, please try another way to pay.
        Please empty the basket, put {title} in again and try once more.
        Your basket keeps the {item} while you try another way to pay.
        You can pay by card, by transfer or on account, and nothing is taken twice.
    """,
    "shipping": """
        We ship to {place}, and the price is shown before you pay.
        A parcel to {place} takes [three to five days|less than a week] once it has left us.
        The {item} travels in a stiff box, so nothing is bent.
        {title} ships on its own if the rest has to wait.
        Shipping is free from fifty, and below that the price is shown before you pay.
        Parcels leave us every working day, and the price is shown before you pay.
    """,
    "account": """
        You can change that on the account page, under your name.
        A new password is sent to the address that we know, please look in the spam folder too.
        Please never send me a password, the account page is the place for it.
        On the account page you can change the address and the newsletter.
        Your account can be closed on the account page, and all is deleted within a week.
    """,
    "escalation": """
        I am sorry about this. I will hand you to a colleague now.
        I am sorry that {order} gave you trouble. A colleague takes over from here.
        That should not have happened with {title}. A colleague takes over from here.
        I understand that you are upset. A colleague will answer you today.
        You have waited long enough. I will hand you to a colleague now.
        I am sorry. A colleague with more means than mine takes over now.
    """,
}

# What stands before and after a body, by style; "house" is how the shop wants to sound.
STYLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": (("", "", "Hello."), ("", "", "Is there more I can do?")),
    "curt": (("",), ("", "Bye.", "Next.")),
    "formal": (
        ("Dear customer,", "Good day,", "Dear reader,"),
        ("Yours sincerely, the shop.", "With kind regards.", "Respectfully yours."),
    ),
    "playful": (
        ("Yay, a fellow otaku!", "Ooh, good one!", "Kyaa, hello there!"),
        ("Page-turning hugs!", "Stay shiny, reader-chan!", "Boing!"),
    ),
    "house": (
        ("Thank you for asking MangaAssist.", "Thank you, good to hear from you.", "Gladly, and thank you for asking."),
        ("Happy reading!", "Enjoy the next chapter!", "May your shelf grow!"),
    ),
}
