"""What the shop's help pages say, and what customers ask that they answer: plain data, all of it invented.

A topic has eight pages. A page starts with `#` and its heading, then its text; a line `? question = answer` is a
question that this page alone answers, in the words of a customer (`[a|b]` is a choice), with the answer as the page has
it. `catalogue` deals the eight pages of every topic out to train, dev and test, its questions with it.
"""

HELP_PAGES: dict[str, str] = {
    "returns": """
        # How long you have for a return
        Unread books can come back within 30 days of delivery. After that we can only help if a book is faulty.
        ? how [long|many days] do I have to send a book back = 30 days from delivery
        ? is there a deadline for returning [manga|books] = 30 days from delivery
        ? I have had this volume for a while, can it still go back = within 30 days of delivery
        # How to send something back
        Open your orders, choose the book and print the label. Drop the box at any post office within 7 days.
        ? how do I send a volume back = open your orders, choose the book and print the label
        ? where do I get a label for my return = open your orders, choose the book and print the label
        ? where do I [drop off|hand in] the box = at any post office within 7 days
        # When a refund arrives
        We refund the card or wallet you paid with, 5 working days after the box reaches our warehouse.
        ? when do I get my money back = 5 working days after the box reaches our warehouse
        ? how long does a refund take = 5 working days after the box reaches our warehouse
        ? do you refund to the same card = yes, the card or wallet you paid with
        # Damaged on arrival
        Send a photo of a bent, torn or wet book within 14 days and we replace it free of charge. Keep the wrapping.
        ? my book came [bent|torn|wet], what now = send a photo within 14 days and we replace it free of charge
        ? the corners of my volume are crushed = send a photo within 14 days and we replace it free of charge
        ? do I need a photo of the damage = yes, within 14 days
        # Box sets and opened wrap
        A box set can only come back complete and still sealed. Art books may be opened if they are clean.
        ? can I return a box set that I opened = no, only complete and still sealed
        ? I took the plastic off a set, is that a problem = a box set can only come back still sealed
        ? may an art book be opened before it goes back = yes, if it is clean
        # Misprints and missing pages
        Pages that are missing, doubled or upside down are a fault. We exchange the book for one year after purchase.
        ? there are pages missing in my copy = we exchange the book for one year after purchase
        ? chapter four is printed upside down = we exchange the book for one year after purchase
        ? half of the pages are doubled = that is a fault, we exchange the book
        # Sale and clearance items
        Clearance books can be exchanged for store credit, not for money. Signed copies are final sale.
        ? can I get money back for a clearance book = no, store credit
        ? do you take back things from the sale = clearance books can be exchanged for store credit
        ? is a signed copy returnable = no, signed copies are final sale
        # Gifts that miss the mark
        With the gift slip you can swap a present within 60 days without the giver knowing. You get store credit.
        ? I got this as a present and already own it = with the gift slip you can swap it within 60 days
        ? can a gift be swapped without my friend finding out = yes, with the gift slip within 60 days
        ? someone gave me the wrong series = with the gift slip you can swap it within 60 days
    """,
    "shipping": """
        # Delivery times at home
        Parcels within the country take 2 to 4 working days. Orders before 14:00 leave the same day.
        ? how long does delivery take = 2 to 4 working days
        ? if I order this morning, does it go out today = orders before 14:00 leave the same day
        ? how fast is standard post = 2 to 4 working days
        # What postage costs
        Postage is 3.90, and free from 45. Heavy boxes over 10 kilos cost 6 more.
        ? what do you charge for postage = 3.90, and free from 45
        ? from [what sum|how much] is delivery free = from 45
        ? does a heavy parcel cost more = over 10 kilos it costs 6 more
        # Sending abroad
        We ship to 38 countries. Parcels outside the customs union may be opened by customs, who bill you themselves.
        ? do you ship to other countries = yes, to 38 countries
        ? can you send a parcel overseas = yes, to 38 countries
        ? do I pay duty when it crosses the border = customs bill you themselves
        # Express
        Express costs 9.90 and arrives the next working day if ordered by noon. It is not offered to islands.
        ? I need it tomorrow, is there a faster way = express arrives the next working day if ordered by noon
        ? what does next day delivery cost = 9.90
        ? can you rush a parcel to an island = no, express is not offered to islands
        # Picking up in the shop
        Choose pickup and collect your books from the counter after 3 hours. We keep them for 10 days.
        ? can I collect my books from the counter = yes, after 3 hours
        ? how long do you hold a pickup = 10 days
        ? I would rather come by than wait for the post = choose pickup and collect after 3 hours
        # Parcel lockers
        Lockers take boxes up to 60 cm. You get a six digit code by text message and have 3 days to open the door.
        ? can you deliver to a locker = yes, boxes up to 60 cm
        ? how do I open the locker = with the six digit code from a text message
        ? how many days does a box stay in the locker = 3 days
        # How books are packed
        Every volume gets a paper sleeve and corner guards. We use no plastic; boxes are made of recycled card.
        ? how do you protect the corners in the post = with a paper sleeve and corner guards
        ? is your packaging plastic free = yes, boxes are made of recycled card
        ? will the books be wrapped well = every volume gets a paper sleeve and corner guards
        # One order in several boxes
        Large orders travel in several boxes, each with its own number. You pay postage once.
        ? only one of my boxes is here = large orders travel in several boxes
        ? why did you split my order = large orders travel in several boxes, each with its own number
        ? do I pay postage twice when it comes in two parcels = no, you pay postage once
    """,
    "checkout": """
        # Ways to pay
        We take cards, bank transfer, store credit and the two big wallets. Cash is for the counter only.
        ? what can I pay with = cards, bank transfer, store credit and the two big wallets
        ? do you take cash = at the counter only
        ? is bank transfer possible = yes
        # When a card is declined
        Check the card's address and try once more after 15 minutes. Three failed tries lock the basket for one hour.
        ? my card keeps getting declined = check the card's address and try once more after 15 minutes
        ? payment failed again, what now = try once more after 15 minutes
        ? the basket is locked after a few tries = three failed tries lock the basket for an hour
        # Promo codes
        One code per order, typed in before you pay. Codes do not work on gift cards or preorders.
        ? where does the discount code go = type it in before you pay
        ? can two codes be combined = no, one code per order
        ? the code is refused for a preorder = codes do not work on gift cards or preorders
        # Paying in parts
        From 80 you can split the sum into three monthly payments without interest. A credit check is made.
        ? can I pay in instalments = from 80, in three monthly payments
        ? do you charge interest when the sum is split = no
        ? is there a check when I pay month by month = yes, a credit check is made
        # Charged twice
        A second charge is usually a reservation that your bank drops within 3 days. If it stays, send us the statement.
        ? I was charged twice for one order = usually a reservation that your bank drops within 3 days
        ? the same sum left my account two times = it is usually a reservation dropped within 3 days
        ? double payment on my statement, who fixes it = send us the statement if it stays for 3 days
        # Invoices
        The invoice is in your mail when the parcel leaves. Schools and companies add their tax number at the last step.
        ? where is my invoice = in your mail when the parcel leaves
        ? I need a bill for my company = add the tax number at the last step
        ? can a school get an invoice with a tax number = yes, add it at the last step
        # Gift cards
        Gift cards run for three years and can be used in parts. They arrive by mail within ten minutes.
        ? how long is a gift card good for = three years
        ? can I spend a voucher bit by bit = yes, it can be used in parts
        ? when does a gift card arrive = by mail within ten minutes
        # Changing an order that you just placed
        Until the label is printed, about 40 minutes, you can change or cancel an order yourself in your account.
        ? I clicked buy by mistake, can I cancel = until the label is printed, about 40 minutes
        ? can I add a book to what I just ordered = until the label is printed, about 40 minutes
        ? I typed the wrong house number a moment ago = change it yourself until the label is printed
    """,
    "order_tracking": """
        # Where to see your parcel
        Your orders page shows each parcel on a map. Guests use the link in the mail that says it has left.
        ? where can I see my parcel = on your orders page
        ? I have no account, how do I follow the box = use the link in the mail that says it has left
        ? is there a map of where my order is = yes, on your orders page
        # The number does not work
        A tracking number wakes up about 12 hours after the label is made. Until then the courier does not know it.
        ? the courier does not know my number = it wakes up about 12 hours after the label is made
        ? tracking says unknown = it wakes up about 12 hours after the label is made
        ? how soon can a tracking number be used = about 12 hours after the label is made
        # Marked as delivered, nothing there
        Ask neighbours and look for a card. After 2 days tell us and we open a search with the courier.
        ? it says delivered but my mailbox is empty = ask neighbours; after 2 days we open a search
        ? the driver claims he left it, I have nothing = after 2 days tell us and we open a search with the courier
        ? who has my box when the page says delivered = ask neighbours and look for a card
        # Late parcels
        A parcel is late after 8 working days. Then we send the books again or pay you back, as you like.
        ? my order should have been here last week = after 8 working days we send it again or pay you back
        ? when is a parcel [late|lost] = after 8 working days
        ? it never came, do you send it again = after 8 working days, or we pay you back
        # Stuck in customs
        Customs take up to 15 days and may ask you for the invoice. We cannot speed this up.
        ? my box has been with customs for days = customs take up to 15 days
        ? customs want papers from me = they may ask you for the invoice
        ? can you hurry the border office = no, we cannot speed this up
        # Sending a parcel somewhere else
        While a parcel is on its way you can move it once, to a locker or a neighbour, in the courier's app.
        ? I am away, can the parcel go to a neighbour = yes, once, in the courier's app
        ? can I redirect a box that has left = once, to a locker or a neighbour
        ? how do I change where a parcel on its way ends up = in the courier's app
        # What the stages mean
        Received: we have your order. Picked: it is in a box. Handed over: the courier has it.
        ? what does picked mean = it is in a box
        ? the page says handed over, to whom = the courier has it
        ? my order still says received, is that bad = it means that we have your order
        # Messages about your order
        We write three times: when you order, when the box leaves, and the evening before it comes. Texts are optional.
        ? will I be told before it comes = yes, the evening before
        ? how many mails do you send about an order = three
        ? can I get updates by text = yes, texts are optional
    """,
    "age_checks": """
        # What the age marks mean
        Our own readers mark each title: all ages, 10+, 13+, 16+ or 18+. The reason stands below the mark.
        ? what does 16+ on a cover mean = our own readers mark each title with an age
        ? who decides what age a manga is for = our own readers
        ? where do I see why a book is rated like that = the reason stands below the mark
        # Buying titles for adults
        For 18+ titles we check your age once with an identity card. The picture is deleted after the check.
        ? why do you want to see my identity card = we check your age once for 18+ titles
        ? how is my age checked = once, with an identity card
        ? do you keep the picture of my papers = no, it is deleted after the check
        # Accounts for children
        A parent can make a child account that shows nothing above a mark you choose. Purchases wait for your approval.
        ? can my kid have an own login = yes, a parent can make a child account
        ? how do I hide grown up stuff from my daughter = make a child account with a mark you choose
        ? can my son buy things without me = no, purchases wait for your approval
        # Handing over at the door
        Boxes with 18+ titles go only to an adult who shows a card. They are not left with neighbours or in lockers.
        ? will an adult title be left in a locker = no, only handed to an adult who shows a card
        ? can my teenager take the parcel in = not if it holds 18+ titles
        ? why did the driver ask for a card = boxes with 18+ titles go only to an adult
        # Content notes
        Each page lists violence, frightening scenes, strong language and more, so that you can judge for yourself.
        ? does the page say how violent a series is = yes, each page lists it
        ? where do I see if there is bad language in it = on each page, in the content notes
        ? I want to know about scary scenes before I buy = each page lists frightening scenes
        # A mark that seems wrong
        Tell us the volume and the page. Two of our readers look again within a week and we answer you.
        ? I think this book is rated too low = tell us the volume and the page
        ? this is not fit for ten year olds, who do I tell = tell us; two of our readers look again within a week
        ? do you ever change an age mark = two of our readers look again within a week
        # Advice for parents
        Our shop floor team puts together a first shelf for any age from 6. Ask for it by chat or at the counter.
        ? what would you give a child that starts reading manga = ask for a first shelf for any age from 6
        ? can somebody help me pick for a young reader = yes, by chat or at the counter
        ? from what age do you have suggestions = from 6
        # Schools and libraries
        Schools get a list without anything above 13+. Librarians may ask for reading copies of up to 5 titles.
        ? do you have a list that is safe for a classroom = yes, without anything above 13+
        ? can a librarian get reading copies = yes, of up to 5 titles
        ? what do you offer for school libraries = a list without anything above 13+
    """,
    "account": """
        # Forgotten password
        Ask for a new password on the sign-in page. The link in the mail works for one hour.
        ? I cannot remember my password = ask for a new one on the sign-in page
        ? the reset link does not work any more = it works for one hour
        ? how do I get back into my account = ask for a new password on the sign-in page
        # Changing your mail address
        Change the address under profile and confirm it in both mailboxes. Old orders move along.
        ? I have a new mail address = change it under profile and confirm it in both mailboxes
        ? do my old orders stay when I switch mail = yes, old orders move along
        ? where do I change my contact mail = under profile
        # Deleting your account
        Delete it under privacy. Invoices stay for the years the tax office asks for, everything else goes in 30 days.
        ? how do I close my account = delete it under privacy
        ? what do you keep after I am gone = invoices, for the tax office
        ? how soon is my data erased = in 30 days
        # Signing in with two steps
        Turn on the second step under security. We take codes from any authenticator app, and ten spare codes on paper.
        ? can I protect my login better = turn on the second step under security
        ? I lost my phone with the codes = use one of the ten spare codes on paper
        ? which app works for sign in codes = any authenticator app
        # Points
        Each full unit of money is one point. 200 points are worth 5 off and fall away after two years.
        ? what are points worth = 200 points are worth 5 off
        ? do loyalty points run out = after two years
        ? how many points does a purchase give = one for each full unit of money
        # Wish lists
        A wish list holds up to 250 books and can be shared by a link. We write when one gets cheaper.
        ? can I share what I wish for = yes, by a link
        ? will I hear when a book on my list gets cheaper = yes, we write
        ? is there a limit to a wish list = up to 250 books
        # Newsletter
        It comes every second Friday. The last line of each mail stops it at once.
        ? how do I stop your mails = the last line of each mail stops it at once
        ? how often does the newsletter come = every second Friday
        ? please take me off the mailing list = the last line of each mail stops it at once
        # Somebody else used my account
        Change the password, sign out everywhere under security and write to us. We cancel what was not sent yet.
        ? someone ordered with my account = change the password, sign out everywhere and write to us
        ? I think I was hacked = change the password, sign out everywhere and write to us
        ? how do I sign out on all devices = under security
    """,
    "stock": """
        # Preorders
        A preorder is charged on the day it leaves. You can cancel it until the evening before.
        ? when do I pay for a preorder = on the day it leaves
        ? can a preorder be cancelled = until the evening before it leaves
        ? did you already take money for a book that is not out = no, it is charged on the day it leaves
        # Books that are sold out
        Press the bell on the page and we write when a book is back. Reprints take about 10 weeks.
        ? it is sold out, will it come back = press the bell and we write when it is back
        ? how long does a reprint take = about 10 weeks
        ? tell me when a book is there again = press the bell on the page
        # Out of print
        We search for out of print volumes with 12 used book dealers. The search is free for members.
        ? can you find a volume that is no longer printed = we search with 12 used book dealers
        ? does it cost something to look for an old book = the search is free for members
        ? where do I get a series that was dropped = we search with 12 used book dealers
        # Stock in our shops
        Each page shows how many copies stand in which shop. The count is renewed every 20 minutes.
        ? is a book on the shelf near me = each page shows how many copies stand in which shop
        ? how fresh is the count for a shop = it is renewed every 20 minutes
        ? which branch has copies = each page shows it
        # Subscribing to a series
        Subscribe and each new volume is sent when it comes out, 5 percent off. Stop whenever you want.
        ? can I get every new volume without ordering = yes, subscribe to the series
        ? is there a discount for subscribing = 5 percent off
        ? can I stop a subscription = whenever you want
        # Limited editions
        Two copies per customer. What is left after a week is open to all.
        ? how many limited editions may I buy = two copies per customer
        ? why can I not put three special editions in the basket = two copies per customer
        ? when is the limit lifted = after a week
        # Used manga
        Used books have three grades: like new, read, well read. Photos are of the very copy you get.
        ? do you sell second hand manga = yes, in three grades
        ? what state is a used book in = like new, read, or well read
        ? is the photo of the copy I will get = yes, the very copy
        # Original language and translations
        Each page says in which languages a series can be had. Imports from Japan take 3 weeks.
        ? can I get it in Japanese = each page says in which languages it can be had
        ? how long do imports take = 3 weeks
        ? do you have a translation of it = each page says in which languages it can be had
    """,
    "contact": """
        # Talking to a person
        Write "person" in the chat between 9 and 20 and one of us takes over, in about 4 minutes.
        ? I want a human = write "person" in the chat between 9 and 20
        ? is there anybody real here = between 9 and 20 one of us takes over
        ? how long until someone answers in chat = about 4 minutes
        # Calling us
        The phone is staffed on weekdays from 10 to 17. We call you back if you leave your number.
        ? can I phone you = on weekdays from 10 to 17
        ? will you ring me back = yes, if you leave your number
        ? what are your phone hours = weekdays from 10 to 17
        # Complaints
        A complaint goes to the shift lead the same day. You have an answer in writing after 2 working days at most.
        ? I want to complain = it goes to the shift lead the same day
        ? who reads my complaint = the shift lead
        ? how fast do you reply to complaints = after 2 working days at most
        # When our answer does not help
        Ask for the case to be raised. A manager who did not know it before looks at it within one day.
        ? your answer did not help at all = ask for the case to be raised
        ? let me speak to a manager = ask for the case to be raised; a manager looks within one day
        ? who decides when we do not agree = a manager who did not know the case before
        # Arbitration
        If we cannot agree, the consumer arbitration board decides. Using it costs you nothing.
        ? is there somebody neutral to decide = the consumer arbitration board
        ? does arbitration cost money = it costs you nothing
        ? I am ready to take legal steps = the consumer arbitration board decides, at no cost
        # Opening hours
        Our shops open from 10 to 20, on Sundays from 12 to 18. On release nights we open at midnight.
        ? when do your shops close = at 20, on Sundays at 18
        ? are you open on Sundays = from 12 to 18
        ? do you open at midnight for a release = yes, on release nights
        # Press and creators
        Creators send a sample of 20 pages to our small press desk. Everyone gets an answer within 6 weeks.
        ? I draw manga, can you sell it = send a sample of 20 pages to our small press desk
        ? how long does the small press desk need = an answer within 6 weeks
        ? who do I write to about my own comic = our small press desk
        # Reading circle
        The circle meets on the first Thursday of the month in every shop. Tea is on us, no sign-up needed.
        ? when does the reading circle meet = on the first Thursday of the month
        ? do I have to sign up for the circle = no
        ? is there a club for readers = yes, in every shop
    """,
}
