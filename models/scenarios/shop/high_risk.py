"""More ways to put the five high-risk requests, for the verdicts that hang on them, and more that two can claim.

Written as in `mct.models.scenarios.shop.phrases`, to which they come on top: one template per line, subjects in blocks
of eight. Half of every block goes to the test set (`mct.models.scenarios.shop.messages.TEST_HEAVY`): a verdict on one
intent needs over a thousand messages, and a thousand from a dozen templates would be a dozen phrasings said over and
over.
"""

# The flows in which a compressed model may not get worse, even where its average holds.
HIGH_RISK_INTENTS = ("age_sensitive_recommendation", "checkout", "escalation", "order_tracking", "returns")

FURTHER_TEMPLATES: dict[str, str] = {
    "order_tracking": """
        [do you know|any idea] where {order} is [hiding|by now]?
        [please|kindly] look up {order} and tell me where the box is
        my {item} [travels|is moving] under {order}, which city is it in?
        [locate|find] my parcel {order}[ for me|]
        I paid for {title} on {day}, where [on earth|in the world] is my parcel?
        could you see [where|at which stop] my package {order} is?
        [current|latest] location of {order}?
        I have been refreshing the page, where is my {title} box [at this moment|sitting]?
        what is happening with {order}[, it has been quiet|]?
        is there [progress|movement] on my order {order}?
        [status|state] of {order}[ please|]?
        my order {order} says [pending|confirmed], what does that mean for the shipping date?
        does {order} still [wait in|sit at] your warehouse?
        have you [packed|handed over] my {title} order to the courier?
        what [step|stage] is my purchase {order} at?
        is anyone working on {order}? it has [not changed|been stuck] for {n} days
        {order} was [due|expected] {day} and the doorbell never rang
        the {title} parcel is [running late|behind schedule], what is holding it up?
        [yesterday|on {day}] was the promised date for {order}, still nothing at the door
        you said {n} days, it is now {n} weeks and no sign of the {title} {item} I paid for
        why does my delivery {order} [take|need] so long?
        my {item} has [gone missing|vanished] on the way, order {order}
        did {order} get [lost|delayed] in the post?
        it [should have|was supposed to have] come by {day}, my {title} volumes are not here
        I cannot [open|use] the tracking link you mailed for {order}
        the [carrier|courier] says it knows no {order}
        where do I [look up|see] the tracking of {order}?
        you [mailed|texted] me a number for {order} that tracks nothing
        the tracking for my {title} parcel [stands still|is frozen] at the sorting centre
        [no|zero] scans on {order} for {n} days
        who delivers {order}, and with which [tracking code|consignment number]?
        tracking jumped back from [out for delivery|arriving today] to in transit for {order}
        on which [day|date] does {order} reach me?
        will {order} come [today|this week] or later?
        at what time [is the van here|does the courier come] with {order}?
        I'm away from {day}, is {order} here [before that|by then]?
        can you give me a [new|real] delivery date for my {title} order?
        how many more days [for|until] my parcel {order}?
        my {title} preorder is out now, when does mine [leave|ship]?
        [eta|arrival date] for order {order}[ pls|]?
        the courier [claims|says] I signed for {order}, I did not
        {order} was left [with a neighbour|in a safe place] that nobody can name
        photo proof of {order} shows [a door that is not mine|somebody else's porch]
        the driver rang, left again and took my {title} parcel [back|away], where is it now?
        a card says my parcel {order} is at [a shop|the post office], which one?
        [half|part] of {order} is here, when does the other box come?
        {order} was [attempted|tried] on {day}, will they come again?
        I was home all day and {order} shows [nobody in|failed delivery]
        please [hold|stop] the parcel {order} at the depot, I'm away until {day}
        can the courier bring {order} [on {day} instead|to my office]?
        {order} is in customs [since {day}|for {n} days], is anything missing?
        my shipment {order} left {place} [last week|on {day}] and then nothing
        the parcel {order} goes [the wrong way|in circles] according to the map
        [is|was] {order} sent to my old address?
        can I still [change|correct] the house number on {order}? it has shipped already
        the {title} {item} I bought is somewhere in {place}, [why|how come]?
        [checking in on|following up on] order {order}
        I'd love [some news|an update] about my parcel {order}
        [hello, {order}?|{order}, anything?]
        just [tell me|say] when my {title} books get here
        [mum|dad|my kid] asks every day when the {title} parcel comes, order {order}
        I ordered {n} volumes of {title} on {day} and have [not heard|had no mail] about the dispatch
        you took the money for {order} [on {day}|{n} weeks ago], has it left at all?
        my last order of {title} took two days, this one [drags on|is still on its way], where is it?
        the email says [dispatched|on its way] but no courier has {order}
        I got a mail that {order} [was split|comes in {n} parcels], where is each of them?
        the {title} box came, the {item} from the same order [did not|is still missing], is it on the way?
        is my backorder {order} [moving|shipped] yet?
        which of my orders is in the parcel that [comes|arrives] on {day}?
        the app [shows no|lost the] delivery status of {order}
        did the [gift|present] that I sent to {place}, {order}, get there?
        has my friend in {place} [got|received] parcel {order}?
        my [order number|reference] is {order}, where do things stand?
        one parcel, {order}, {n} weeks, [where is it|what now]?
        the [snow|strike|storm] is over, when does {order} move again?
        is {order} [affected by|stuck because of] the postal strike?
        they [scanned|registered] {order} in {place} on {day}, and since then nothing
        can you ask the courier what [became|happened] to {order}?
        [your map|the live map] shows the van near me but no {title} parcel came
        I need {order} by {day} for a [birthday|party], will it make it?
        I'm [curious|wondering] how far {order} has got
        [quick check|short question]: is {order} moving?
        has anything [happened|changed] with {order} since {day}?
        the {title} volumes I paid for, [any trace of them|where might they be]?
        [show|give] me the journey of parcel {order}
        my neighbour's box came and mine, {order}, [did not|is nowhere], why?
        on what [truck|plane|ship] is my {title} parcel?
        is {order} still in {place} or [already|finally] moving on?
        I was promised {title} for [{day}|last week] and it is not here
        {order}: [late|delayed] again, what is the reason?
        your mail said [tomorrow|{day}], that was {n} days ago, where is {order}?
        I keep [looking out|waiting] for the van with {order}
        [three|two] times you moved the date of {order}, when is it really here?
        the {item} I purchased {n} weeks ago, [has it been lost|is it ever coming]?
        is there a [backlog|delay] at your warehouse? {order} does not leave
        everyone got their {title} except me, [where is mine|when do I get mine]? {order}
        the number in your mail, {order}, is [not a tracking code|too short]
        tracking [wants|asks for] a postcode with {order}, which one?
        I [deleted|lost] the mail with the tracking link, order {order}
        do you send [a text|an email] when {order} is near?
        the tracking of {order} is in a language that I [don't read|can't understand]
        how can I [see|follow] the van on the map for {order}?
        can I have tracking [by phone|without the app] for {order}?
        {order} has two tracking numbers, [which one counts|is that right]?
        [today|tomorrow] or later, when is {order} at my door?
        will {order} make the [weekend|holidays]?
        {order}, [morning|afternoon] delivery or when?
        I leave for {place} on {day}, can {order} be here [before|by then]?
        how [near|close] is my {title} parcel?
        the app counts {n} days for {order}, is that [true|realistic]?
        when do you [release|send] my preordered {title} {item}?
        can you promise that {order} is [here|with me] by {day}?
        {order} is said to be in my [garage|shed], I have none
        they wrote [received by reception|left at the desk] for {order}, there is no reception here
        the courier brought a box, not {order}, [where is mine|mine is still out]
        who [took in|accepted] my parcel {order}?
        {order} lies at a pick-up point, [for how long|until when]?
        what do I [show|need] to pick up {order} at the depot?
        please have {order} [left at|brought to] the shop next door
        one of the [parcels|boxes] of {order} went astray, can you find it?
    """,
    "returns": """
        I'd rather not keep the {title} {item}, [where do I send it|how can I send it back]?
        [sending|posting] {title} back to you, which form do I fill in?
        the {item} [is not for me|does not suit me], I want to hand it back
        can the {title} set go back [unread|in its wrapper]?
        please [arrange|organise] a return of {order}
        is it [too late|still possible] to send the {item} back?
        [bought|got] {title} twice by mistake, one goes back
        how do I return [part of|one book from] order {order}?
        [print|send] me the return slip for {order}
        the return label for my {item} [expired|is unreadable], a new one please
        where is the nearest point to [drop off|hand in] my return?
        can a courier [pick up|collect] my return of {title}?
        your return form [gives an error|does not know] {order}
        which address do I put on the box when I [return|send back] the {item}?
        can I [bring|take] my return to the shop in {place}?
        I lost the [packing slip|delivery note], can I still return {title}?
        you [have|received] my return since {day}, when is the refund paid?
        the refund for {title} is [{price} short|less than I paid]
        I was [refunded|paid back] to the wrong card after my return
        still no [money|refund] for the {item} you took back {n} weeks ago
        my return {order} was [accepted|signed for], and the refund?
        can you refund {title} to my [bank account|gift card] instead?
        please [cancel|undo] the purchase of {title} and refund me, it came and I don't want it
        how [will I see|do I know] that my return was refunded?
        I want what I [paid|spent] for the faulty {item} back
        [refund|reimburse] me for the ruined {title} copy
        the {title} omnibus [fell apart|lost its pages] on first reading, I'd like a new one
        the {item} [leaks ink|has glue on it], can you send another?
        pages are [upside down|in the wrong order] in my {title} volume {volume}
        my copy of {title} has [a dent|a tear] in the cover, replace it please
        the box of my {item} was [soaked|crushed] and so is what is inside
        the {title} {item} has [faded print|a cut page], is there a replacement?
        I want to [swap|trade] the scratched {item} for a clean one
        {title} {volume} came with [coffee stains|a sticker on the art], that has to be exchanged
        the corner of the {item} is [bumped|bent], do you replace it?
        a [piece|part] of my {item} is broken off, what are my options for an exchange?
        you packed {title} so badly that it [bent|tore], send a new copy
        [replacement|a fresh copy] for volume {volume} of {title}, mine is damaged
        my {item} arrived [opened|used], I want an unopened one
        there is [mould|a bite mark] on my {title}, please take it back
        in my box is {title} {volume}, and I [asked for|paid for] another one
        [the wrong|not my] {item} was in the parcel, how do we swap?
        I got the [softcover|old edition] of {title} instead of the one that I bought, exchange it
        you [mixed up|confused] two orders, I have a stranger's {item}
        {title} came in the wrong language, [how do I change it|can it be swapped]?
        I received {n} copies and wanted one, [take the rest back|how do I return the others]?
        the {item} is another [colour|size] than in the picture, I want to return it
        this is the {genre} bundle and I ordered {title}, [swap please|what do I do with it]?
        can I exchange {title} volume {volume} [for|against] a {item}?
        would you change {a_thing} for [something else|another one] if it was the wrong choice?
        I'd like store credit for {title} [instead of cash|rather than a refund]
        swap volume {volume} of {title} for [a different volume|volume {n}], please
        my [friend|cousin] has {title} already, can the gift be exchanged?
        can the person I gave {a_thing} [return|exchange] it?
        I want to [change|swap] the {item} for a bigger one, what now?
        exchange or refund, what is [faster|easier] for a torn {title}?
        what are the [conditions|rules] for giving {a_thing} back?
        is there a [fee|charge] for returns?
        how many [days|weeks] can I wait before I return {a_thing}?
        may I return {a_thing} without [a reason|the original box]?
        do you take back [opened|signed|discounted] books?
        can a preorder be [returned|sent back] once it came?
        are [ebooks|digital volumes] refundable?
        what [is excluded|cannot go back] under your return rules?
        do returns from {place} [cost me anything|go to another address]?
        can I return several orders in one [parcel|box]?
        how is my return [checked|inspected], and how long does that take?
        does the {n} day return period start [on delivery|when I order]?
        do I get the [shipping|postage] back when I return everything?
        where in my order do I [click|press] to return {title}?
        I [refused|did not accept] the parcel {order} at the door, do I get my money back?
        I [missed|forgot] the return date for the {item}, is there any way?
        your [mail|message] says my return was rejected, why?
        you sent my returned {item} [back to me|home again], what was wrong with it?
        I returned {title} and got a refund for [another book|only one volume]
        my return [shows|is marked] as not received, but the post delivered it on {day}
        the exchanged {title} is [damaged as well|the wrong one again], now I want a refund
        does the replacement for {order} cost [anything|extra], or is it free as mine was damaged?
        I sent the {item} back without a [label|number], will you find it?
        [half of|part of] my set is faulty, must I return [all of it|the whole {title} set]?
        I [regret|don't like] buying {title}, may I send it back?
        {title} [bored|disappointed] me, can I return it?
        how can I get rid of the {item} [that you sent|I bought] and have my money?
        [where|how] do I start a return?
        two of the {n} books in {order} should go back, [how|what do I do]?
        can you take the {item} off my hands [again|and pay me back]?
        my mum bought {title} for me and I want to [return|give back] it
        I never opened {title}, [return possible|can it come back to you]?
        is there a return [box|counter] at your store in {place}?
        the QR code for my return does not [scan|load]
        do I [stick|put] the return label over the old one?
        how do I pack {a_thing} that I [return|send back]?
        can I [hand|give] my return to the driver who brings parcels?
        how [heavy|big] may a return parcel be?
        the post office [won't take|refuses] my return without a form
        please cancel my return of {title}, I [keep|want] it after all
        when you get my {item} back, when do I [see|have] my money?
        the refund mail came and the money [did not|is not in my account]
        {price} for the books I returned, [where is it|not paid yet]
        you [kept|deducted] {price} from my refund, why?
        my refund for {title} went to a card that I [closed|no longer have]
        can I have the refund [faster|today]? I sent everything back
        do gift cards get refunded [as money|as a gift card]?
        I want my money back for a {item} that is [not as described|nothing like the photo]
        volume {volume} of {title} [is bound wrong|starts at page {n}0], I'd like another
        the [spine|glue] of my {title} gave way, will you replace it?
        my new {item} has a [crack|hole], do I get a new one?
        the {item} does not [stand|close|work], I want it exchanged
        all {n} volumes have [dented corners|wet pages], take them back please
        the dust jacket of {title} was [missing|torn] in the box, replacement?
        somebody [wrote|scribbled] in my new {title}, I want a clean copy
        the plastic was [off|open] and the {item} dirty, I don't accept that
        I have {title} {volume} and should have {title} {n}, [swap|can you change it]?
        the label says {title} and inside is [another manga|a {genre} book], please exchange
        you sent the {item} for [left-handers|another series], I'm returning it
        my parcel had the order of [someone in {place}|another customer], how do I send it back?
        a {item} I [never ordered|did not buy] came with {order}, do you want it back?
        you sent [less|something else] than I bought in {order}, I want it put right or refunded
        I clicked the wrong volume, can I [swap|change] {title} {volume} after it came?
        is it okay to exchange {title} [at|in] the {place} shop?
        may I swap my {item} for [the deluxe one|another character]?
        exchange for {a_thing} of [the same|a higher] price?
        can I turn my return into [a voucher|credit]?
        I'd like the other cover of {title}, [exchange|swap] possible?
        what about an exchange when {title} is [sold out|out of print]?
        does an exchange take [longer|more time] than a refund?
        can a damaged gift be [exchanged|replaced] without the receipt?
        please take back volume {volume} and send me [the right|a flawless] one
        is there a time limit for [damaged|faulty] books?
        [until when|how long] can Christmas presents be returned?
        which things can't I [return|send back]?
        do I have to say [why|for what reason] I return {a_thing}?
        can I return {a_thing} bought with a [voucher|discount]?
        is my {item} returnable if I [tried|assembled] it?
        do signed copies [fall under|have] the return policy?
        is the postage for a return [free|on me]?
        I moved to {place}, can I still [return|send back] the {item}?
        I threw away the box of my {item}, [no return then|may I return it]?
        you [marked|counted] my return {order} as late, I sent it in time
        the return arrived [empty|damaged] you say, I packed it well
        I returned the set and you [accepted|refunded] only volume {volume}
        your shop in {place} did not [take|want] my return
        [can't|unable to] print the label for my return of {title}
        the return page says {order} is not [eligible|returnable]
        can somebody else [bring|post] my return?
        I got a replacement for {title} and [found|still have] the first one, do I send one back?
        my exchange of {title} is [not booked|forgotten], I still have the torn one
        [bad|low] print quality in {title}, I'd like my money back
        I bought {title} and the same day it got [cheaper|reduced], return and rebuy?
        can I return {title} if I have [read|finished] it?
        [please|kindly] refund {order}, the books are not what I wanted
        the {item} smells of [glue|chemicals], I want to return it
        what do you do with [returned|sent-back] books?
        am I sent a [confirmation|receipt] when my return is there?
        is my return of {title} [registered|in the system]?
        do you [reimburse|pay] customs when I return from abroad?
        I'd return {order} but the [return portal|form] is down
        one [figure|volume] of the set is missing from the box, refund or [resend|replacement]?
        the wrong address is on my return label, [new one|what now]?
        can I keep the damaged {title} for [a discount|part of the price]?
    """,
    "checkout": """
        my payment for {title} [bounced|was turned down]
        [visa|mastercard] refused on your payment page, [try again|what do I do]?
        the card works everywhere [else|but here], why not when I pay you?
        you charged {price} but the checkout says [unpaid|payment missing]
        the payment [timed out|was interrupted] while I bought {title}
        I pressed pay [twice|again], am I charged double for {title}?
        [apple pay|google pay] spins for ever when I pay
        my [prepaid|debit] card is not taken at the till of your site
        the {n} digit code that my bank sends is [refused|too late] on the payment page
        [klarna|paypal] says approved, your shop says the payment failed
        the pay button [stays grey|does not react]
        an error [{n}0{n}|message] comes up when I pay by card
        the 3d secure window [stays white|closes itself] while I pay
        can't pay, it says [do not honour|insufficient funds] and there is money on the card
        my payment [hangs|is pending] since {day}, may I pay for the basket again?
        the bank transfer for my basket has [no reference|no account number], where do I find it?
        the voucher {code} takes [nothing|too little] off my basket
        [enter|use] {code} at the till, it says expired
        where is the [box|field] for a promo code when paying?
        my discount vanishes when I [go to payment|change the address]
        can I [combine|stack] {code} with the {item} offer in one basket?
        the gift card [pays|covers] only a part, how do I pay the rest by card?
        why is {code} [not valid for|refused on] {title} when I check out?
        two for one is not [taken off|applied] in my basket
        the total in my basket [is wrong|changes] at the last step
        tax of {price} is [added|put on top] when I pay, why?
        the checkout adds a [fee|charge] for paying by card
        my basket has {n} copies of {title}, I [clicked|wanted] one
        I [removed|took out] the {item} and it is back in the basket
        [empty|clear] my basket, please, it won't let me
        the basket says {title} can be bought only [once|{n} times]
        my cart [forgets|loses] everything when I log in
        how do I [save|keep] my basket for {day}?
        I cannot [go|get] from the basket to the payment
        the [next|continue] button at checkout is missing on my phone
        your checkout [loops|starts again] after the address
        the page [crashes|goes blank] when I place the order
        the app [closes|freezes] on the last step of buying {title}
        I [fill in|type] my address and the checkout says it is too long
        checkout wants a [phone number|state] and I have none
        the checkout does not know my [country|street]
        can the invoice address [differ from|be another than] the delivery one when I order?
        it will not let me [tick|accept] the terms, so I can't buy {title}
        the checkout [insists on|asks for] a company, I'm a private buyer
        can I [buy|order] as a guest?
        how do I [submit|send off] my order of {title}?
        I want to buy {n} copies of {title} at once, the basket [stops at|allows only] one
        did my order [go through|count]? the last page never came after I paid
        I closed the window while paying for {title}, [is it bought|what now]?
        the order for {title} stayed [in the basket|open] after I paid, do I pay again?
        [which|what] ways to pay are there for {a_thing}?
        is [cash|cheque] possible when I buy {a_thing}?
        do you take [gift cards of other shops|crypto|postal orders]?
        can I pay {price} now and the rest [later|next month]?
        is buying on [account|invoice] possible for a school?
        can two people [split|share] the payment of one basket?
        do you take cards from [{place}|abroad] at checkout?
        what is the [lowest|highest] sum that I can pay by card?
        can I pay with my [points card|company card] at the online till?
        is there a [surcharge|discount] for paying by bank transfer?
        do you keep my card number [after|when] I pay?
        is the payment page [encrypted|safe] for a credit card?
        a friend pays for my basket, [how|is that possible]?
        can I switch from [paypal|card] to another way of paying for the basket?
        how do I put a [message|gift note] on the order when I buy {title}?
        can I choose gift [wrapping|paper] at checkout?
        I need a [vat invoice|pro forma] when I buy {n} books, where do I tick that?
        where do I see the [whole price|total with postage] before I pay?
        how do I [add|put] one more {item} before I press buy?
        which [step|page] of the checkout shows what I pay?
        [stuck|lost] at step {n} of buying {title}
        help me [buy|check out] {title}, I'm no good with computers
        your [till|cart] and my browser don't get along, it reloads when I pay
        the checkout works on my [phone|laptop] but not on the other, I want to pay there
        paying for {title} in {place} [gives|ends in] an error
        it says {title} is in another [basket|person's cart], and I want to pay
        why was my [order|purchase] cancelled right after I paid for {title}?
        the price of {title} [rose|went up] between basket and payment
        [how long|until when] is my basket reserved while I pay?
        the express checkout [skips|forgets] my voucher
        I get [declined|rejected] each time I try to pay for {title}
        [payment not possible|payment denied], says your site, and my card is fine
        my bank [blocks|stops] the payment to your shop, what can I do to buy {title}?
        pay by card gives [a red cross|an unknown error]
        which card [works|is accepted], mine is refused at the till
        the payment window [never opens|shows nothing]
        I paid with [paypal|klarna] and the shop says not paid
        [money|{price}] was reserved on my card though the payment failed
        the shop wants my [cvc|card code] again and again
        paying [takes|lasts] for ever and then fails
        I can't confirm the payment [in my bank's app|with my fingerprint]
        the payment was [split|booked] in two parts, is that an error of the checkout?
        session [expired|lost] while I was typing my card number
        can you accept my payment [by hand|over the phone]? the page fails
        I [cancelled|stopped] the payment half way, how do I resume?
        card number [invalid|wrong], says the form, and it is right
        the coupon from your [newsletter|mail] does nothing in the basket
        [five|ten] percent were promised, the basket takes off nothing
        how do I [redeem|spend] a gift card when I buy {title}?
        code {code} [works only once|was used], says the cart, I never used it
        my voucher is worth {price} and the cart [takes|uses] less
        where has my discount gone at the [last|second] step?
        can {code} be used for [preorders|figures] in the basket?
        free gift not in the basket [although|even though] I spend over {price}
        the cart [forgot|dropped] the student code
        the price in the cart is [not|higher than] the one on the page of {title}
        how [is|do you work out] the total in my basket?
        I want to pay without the [gift wrap|insurance] that is in my basket
        the basket [jumps|goes back] to {n} copies
        the basket is [full|stuck], it takes no more books
        my basket on the phone is not the one on the [computer|tablet]
        items [disappear|vanish] from my cart when I want to pay
        who put a {item} in my [basket|cart]? I can't take it out
        can I [buy|pay for] only part of my basket?
        I'd like to [move|put] {title} from the wish list into the basket, it won't go
        the minimum [sum|order] stops me from paying
        the checkout button [is missing|does nothing]
        nothing happens when I press [order now|buy now]
        the order form [complains|says] that a field is missing, which?
        the site [throws|gives] error {n}00 at checkout
        the checkout does not [load|open] in my browser
        [captcha|puzzle] at checkout can't be solved, so I can't buy
        checkout says [try again later|too many attempts]
        I can't [choose|select] a delivery method at checkout
        no pick-up in {place} [offered|shown] at checkout, so I can't go on
        the checkout takes my [old|wrong] address without asking
        the street field is too [short|small] for my address when I order
        your checkout does not accept [a po box|my email]
        is there a way to order {title} [by phone|by mail] if the page fails?
        how many [clicks|steps] to buy {title}? I'm lost
        I am [new|not used] to online shops, how do I order {title}?
        where do I [confirm|finish] what I put in my basket?
        what comes after the [address|basket], I can't see the payment
        did I just [buy|order] {title} or is it only in the basket?
        no confirmation [page|screen] after paying {price}, did it work?
        can I [undo|stop] the order that I am just paying?
        how can I pay for a [preorder|subscription], now or later?
        do I pay a preorder [at once|when it ships]?
        which wallets [work|can I pay with] on your site?
        is [sepa|a standing order|maestro] okay to pay with?
        do you have [pay later|instalments] at the till?
        can I pay half by gift card and half by [card|paypal]?
        is my {place} bank card [good|fine] for paying here?
        in which currency does the checkout [charge|bill] me?
        can I pay in cash [at the shop|on pick-up]?
        do you take [cheques|coupons of the publisher] when I buy {n} books?
        why do I have to [confirm|prove] my identity to pay {price}?
        is there a [secure|safe] way to pay without a card?
        will you [store|see] the card that I pay with?
        can my [parents|sister] pay for my basket with their card?
        can I pay for a friend's [basket|order] of {title}?
        I want a [company|school] invoice for my basket
        can I pay [ten|{n}] baskets in one go?
        I need to [add|enter] a tax number at checkout
        how do I pay as a [library|shop] on order?
        can I put two delivery addresses on one [basket|checkout]?
        the total changed when I chose {place} at [checkout|payment]
        vat is charged [twice|though I'm abroad] in my basket
        [rounding|sum] in the cart is off, please look, I want to pay
        the gift card field [rejects|deletes] what I type
    """,
    "escalation": """
        [give me|put me on to] a person, not a program
        is anybody [human|real] reading this?
        I would like a [conversation|word] with one of your people
        no more [robots|scripts], [a human|a person] please
        a [live|flesh and blood] agent, if you please
        [let|have] a member of staff answer me
        can I [ring|phone] someone who works there?
        how do I [get past|skip] this bot to a person?
        which number do I [dial|call] for a human?
        [chat|talk] with staff, that's what I want
        I'm [not talking|done talking] to a machine
        who do I [call|reach] when the bot is no use?
        does your company have [people|humans] I can speak with?
        [operator|representative], now
        I'd prefer [a phone call|somebody on the phone] over this chat
        please have [an employee|one of your staff] write to me
        I want whoever runs this [shop|place] on the phone
        your [head of service|director] should hear this from me
        [the manager|a supervisor], and no more excuses
        what is the name of your [boss|superior]?
        take this [up the chain|higher], please
        I insist on [someone senior|your line manager]
        who can overrule [you|support]? I want that person
        have the [store manager|team lead] get back to me by {day}
        I'd like this [moved|passed] up to management
        give me the email address of [your ceo|the management]
        where do I address a letter to the [management|owner]?
        raise my case with [head office|the people in charge]
        a [supervisor|senior agent] promised to ring on {day}, where is that call?
        I want my complaint [on record|in writing] and an answer from above
        make this a [priority|top level] case, I have waited {n} weeks for an answer
        [bump|push] my ticket up, nobody looks at it
        this is a complaint, please [log|register] it
        [formal|official] complaint about your staff
        whom do I [write|turn] to with a grievance?
        how do I lodge a complaint against [an agent|your support]?
        one star, and I want to [tell|explain to] a manager why
        you treat [people|loyal customers] like dirt
        I have never been so [insulted|disappointed] by a company
        this is the [worst|poorest] service in {n} years
        your support [hung up|laughed] at me
        the person in the chat [mocked|insulted] me, who is responsible?
        I'm [livid|boiling|beyond angry], and nobody cares
        {n} emails, {n} calls, [no answer|silence], what sort of company is this?
        everyone there [passes me around|blames somebody else]
        you [broke|keep breaking] your promises, I am sick of it
        I'm being [ignored|fobbed off] again and I won't take it
        what a [shameful|disgraceful] way to treat somebody who pays
        my [solicitor|attorney] is drafting a letter to you
        I'm [ready|prepared] to take you to court
        this goes to the [ombudsman|trading standards] on {day}
        the [consumer agency|regulator] will hear from me
        I'll [warn|tell] every fan forum about you
        the [police|press] may find this interesting
        [fraud|theft], that is what this is, and I will report it
        last warning before I [sue|go public]
        see you in [court|front of a judge]
        my [bank|card company] is going to reverse every charge unless a manager calls me
        I have screenshots of how you treated me and I'll [publish|post] them
        you have until {day}, then my [lawyer|legal insurance] takes over
        the bot [loops|goes round in circles], let me out to a person
        this chat [answers something else|repeats itself], is there a human?
        you don't [get|understand] what I write, fetch a colleague
        wrong answer again, bot, [hand me over|connect me to staff]
        I typed it {n} times, [get me a person|I need a human being]
        stop sending me [links|articles], I want to talk to someone
        the faq is [no help|useless], who can I speak to?
        [automated|canned] replies don't help me, I want a real answer from someone
        please [forward|hand] this chat to an agent
        can a colleague [step in|take this chat]?
        my problem is too [complicated|strange] for a bot, a person should look at it
        I can't explain this to a [machine|robot], who is on duty?
        nobody [rang|called] back on {day} as promised
        I'm [waiting|still waiting] for the call of your supervisor
        somebody from your team was to [contact|call] me {n} days ago
        my ticket was closed without [an answer|a word], reopen it and give it to a manager
        each agent tells me [a different story|something new], who has the last word?
        my case [went|has gone] from desk to desk for {n} weeks, I want one person responsible
        may I speak to [somebody|someone] who can decide something?
        is there anyone [competent|with authority] in your team?
        [anyone|anybody] there who is not a machine?
        I want to [deal|speak] only with people
        is there a [hotline|phone line] with real people?
        no bot, [no menu|no buttons], just a person please
        [switch|change] me to a human colleague
        a real [voice|person], is that too much to ask?
        let me [speak|talk] to your staff directly
        [could|would] an employee look into this personally?
        where can I [phone|ring] you?
        I need to talk this over with [someone|a person]
        how [long|many minutes] until a human answers?
        at what hours can I speak to [a person|real staff]?
        the chat said an agent would [join|come], nobody did
        [put|get] a human on this chat
        I'd like to be [called|phoned] by somebody from your shop
        can I [meet|see] somebody in person about this?
        [bring|get] your manager into this chat
        I demand [a word|an appointment] with the management
        is your boss [in|there]? I want to speak to him
        I want the [person responsible|one in charge], nobody else
        who [supervises|manages] the support team?
        [a higher|another] level of support, please, this one failed me
        let me have your manager's [number|email|name]
        can your supervisor [ring|write to] me on {day}?
        I am asking for the [third|second] time to speak to a manager
        my case needs a [decision|signature] from higher up
        please make sure the [director|owner] reads this
        do not answer me, let your [boss|manager] answer
        I refuse to [talk|write] to first level support any more
        I want to take this [over your head|to the top]
        [escalate|raise] it, I said
        what do I have to do to [reach|see] a manager here?
        put my complaint in [your files|the book]
        is there a [form|desk] for complaints about staff?
        I'm [writing|here] to complain about how your people behave
        this is my [second|last] complaint, the first was ignored
        complaint: nobody [keeps|kept] what they promised me
        I want an apology from the [manager|company]
        I [expect|want] a written statement from your management
        have you no [shame|respect]? I want to complain
        your company is a [mess|nightmare] to deal with
        I'm [fuming|raging], {n} weeks and nobody helped
        what an [awful|appalling] experience with your support
        I feel [cheated|lied to] and nobody listens
        you people [never listen|don't care], do you?
        this is how you treat [a regular|somebody who spent {price}]?
        I am [shocked|stunned] at how rude your agent was
        enough [excuses|promises], I'm angry
        I am at the end of my [patience|tether] with your support
        your service has gone [downhill|from bad to worse]
        [shame|disgrace], I've never been treated like this
        I'll never [shop|buy] here again and I'll tell everyone why
        I'll see a [lawyer|solicitor] on {day}
        [legal|court] action follows unless somebody with authority calls me
        my lawyer says you are [in breach|liable], so talk to me
        I will [file|bring] charges against you
        a letter to the [consumer office|trade body] is ready
        I'll contact the [ministry|authorities] about your practices
        I'm going to [name|expose] you on social media
        my video about your shop goes [online|live] on {day} unless you react
        {n} thousand followers will [read|hear] how you treat me
        [swindlers|crooks], give me someone who answers for this
        I have a [witness|recording] of what your agent said
        I'm telling my [bank|insurance] that you don't respond
        this bot is [stupid|useless], where are the people?
        your robot [sends|keeps sending] me in circles
        I don't want [suggestions|options] from a bot, I want a human answer
        that is not what I asked, [bot|robot], let a person answer
        [again|still] the same canned text, is nobody there?
        the automatic answers are [an insult|a joke], who is in charge?
        chatbot, [stop|quit], a person please
        is this [bot|assistant] all you have? I need someone who thinks
        an agent said [{day}|within {n} days], nobody got back to me
        your callback [never came|was a lie]
        I was [cut off|put on hold for ever] by your agent, let me talk to his boss
        I've explained it to {n} agents, now I want [one who decides|their manager]
        nobody takes [responsibility|ownership] of my case
        how often must I [write|ask] before somebody answers?
        my letters [go|went] unanswered for {n} weeks, who do I hold to account?
        I need [a person|somebody] to take my case seriously
    """,
    "age_sensitive_recommendation": """
        [picking|choosing] manga for a child of {age}, where do I start?
        my {age} year old [wants|needs] something new to read, what do you suggest?
        [birthday|Christmas] present for a {age} year old who reads a lot of manga
        what {genre} is there for [readers|fans] aged {age}?
        she is {age} and [adores|loves] {title}, what else may she read?
        he turned {age} [last week|on {day}], which series is right at that age?
        could a {age} year old [follow|enjoy] {genre} manga, and which?
        a series that [grows with|suits] a reader of {age}?
        [would|could] {title} be too much for somebody of {age}?
        is {title} meant for [grown-ups|adults] or can my {age} year old have it?
        may a {age} year old read [{title}|{genre} manga]?
        my {age} year old found {title} in the library, [is that fine|should I worry]?
        do you think {title} is [right|proper] for a {age} year old girl?
        can I let my [son|daughter], {age}, read {title} alone?
        is {title} [something|a good choice] for primary school children?
        would you let a child of {age} [near|read] {title}?
        what age group is {title} [aimed at|written for]?
        is there an age limit [on|for] {title}?
        which age is [printed|given] on the back of {title}?
        are the later volumes of {title} rated [higher|older] than the first?
        how do your [age stickers|age labels] work?
        {title}: [teen or adult|what rating]?
        where is the [rating|recommended age] of {title} shown?
        [16|18] plus, is that what {title} is?
        do I have to prove my age to [buy|order] {title}?
        can my {age} year old [order|buy] mature manga with a gift card?
        how do you keep [minors|children] from buying adult titles?
        is it legal to sell {title} to somebody of {age}?
        can I [block|hide] adult manga for my child?
        is there a [filter|setting] that shows only manga for children?
        I'm {age}, am I [allowed|old enough] to buy {title}?
        will you deliver an 18+ {item} if my [son|kid] opens the door?
        is there [gore|cruelty] in {title} that would upset a {age} year old?
        how [graphic|bloody] is {title}? my {age} year old is sensitive
        does {title} show [nudity|drugs|suicide]? asking for a child of {age}
        any bad [language|words] in {title}? it is for my [kid|pupil]
        is there kissing or [more|worse] in {title}? she is {age}
        does anything [scary|cruel] happen in {title}? my little one has nightmares
        which volumes of {title} should a {age} year old [skip|not see]?
        what will [shock|frighten] a {age} year old in {title}?
        a gentle {genre} story for a [shy|nervous] child of {age}
        like {title}, only [milder|tamer], for my {age} year old
        {genre} without [killing|monsters] for someone of {age}?
        harmless [{genre} manga|series] for my kids, {age} and {n}?
        nothing with [guns|demons], he is only {age}, what is left?
        sweet and [clean|innocent] {genre} for a {age} year old?
        manga with animals and no [violence|romance], for a child of {age}
        which series has good values for a {age} year old, [with no blood|and no swearing]?
        I run the [school|children's] library and need manga up to age {age}
        my class is {age} years old, [can we read|is it okay to read] {title} together?
        a reading club of {age} year olds [asks for|wants] {title}, do I say yes?
        what would you put on a [shelf|table] for children under {age}?
        I teach [grade {n}|a class], which {genre} is fit for pupils?
        [scout group|youth centre], ages {age} and up, which manga?
        our [children's ward|nursery] would like manga for small patients, what is suitable?
        parents [complained|asked] about {title} in our school library, what is its age rating?
        my [granddaughter|grandson] is {age} and mad about {genre}, what may I give?
        I'm a grandparent, what do kids of {age} [read|like] that is not too wild?
        my [niece|godchild] comes to stay, {age} years old, which manga do I lay out?
        [aunt|uncle] looking for a manga that parents of a {age} year old won't mind
        what can I read [aloud|at bedtime] to my {age} year old?
        a manga that a [mother|father] and a {age} year old enjoy together?
        our family reads {genre}, the youngest is {age}, [what fits|any tips]?
        two kids, {age} and {n}, one series for both that is [okay|decent]?
        my teenager of {age} has outgrown {title}, what comes next that is [not 18+|still okay]?
        my {age} year old read {title} and wants [darker|more grown-up] things, how far can I go?
        from which volume is {title} no longer for [kids|a {age} year old]?
        is {author} [suitable|fine] for a {age} year old?
        do you have a [list|shelf] of manga by age?
        which {genre} series are [tagged|marked] for children?
        a first {genre} manga for [a boy|a girl] who just learned to read, {age}
        easy words, big pictures, for a child of {age}, [what do you have|which series]?
        is the {title} {item} okay as a gift for a child of {age}, [or has it adult art|content-wise]?
        the {title} anime was too [rough|dark] for my {age} year old, is the manga as well?
        is the [film|game] of {title} for children while the manga is not? mine is {age}
        my {age} year old has seen {title} on tv, is the [book|manga] as harmless?
        my child of {age} has [autism|anxiety], which calm manga would you choose?
        which manga [helps|suits] a {age} year old who hates reading and is not too violent?
        am I a bad parent if my {age} year old [reads|owns] {title}?
        the cover of {title} looks [childish|innocent], is it really for kids?
        [good|nice] manga for [kids|a child] of {age}?
        my {age} year old is [bored|done] with picture books, which manga now?
        a comic lover of {age}, what would you [hand|offer] her?
        which {genre} titles do {age} year olds [like|understand]?
        I want my {age} year old to [start|try] manga, which one is right?
        [suggest|name] {n} series for a girl of {age}
        what is [popular|loved] among {age} year old boys?
        my nephew of {age} likes {author}, what is [okay|fit] for him?
        {title} for my {age} year old, [good idea|bad idea]?
        is {title} too [mature|advanced] for age {age}?
        should I [forbid|allow] {title}? she is {age}
        does {title} suit [a sensitive|an average] {age} year old?
        is the whole of {title} fine for {age} year olds or [only the start|just some volumes]?
        do other parents let {age} year olds [have|see] {title}?
        would a school [allow|accept] {title} for {age} year olds?
        I'm not sure {title} is for children, [can you say|what do you think]? he is {age}
        which rating has [{title}|the {title} {item}]?
        what does the [T|M] on {title} mean, is it for teens?
        who decides the age [rating|mark] of {title}?
        is {title} [banned|restricted] for under {age}s?
        up to what age is {title} [locked|closed] in your shop?
        my kid saw a cover that was not for [children|his age], can you hide adult manga?
        do I need to be [eighteen|an adult] to buy {title}?
        can a {age} year old [collect|pick up] {title} in your shop?
        how [bad|strong] is the violence in {title}? my son is {age}
        is somebody [tortured|killed] in {title}? I ask for a {age} year old
        is {title} free of [sex|drugs], my pupils are {age}?
        does {title} have [swear words|smoking] in it? for a child of {age}
        is there anything [sad|disturbing] in {title} for a kid of {age}?
        {genre} without [nudity|horror] for my {age} year old, what is there?
        a [funny|cosy] manga without fights for a {age} year old
        tell me a {genre} series that is [tame|mild] enough for {age}
        I [work|help] in a library for children, what goes with age {age}?
        manga for a [summer camp|kindergarten], children of {age}
        which titles may I [lend|read] to a class of {age} year olds?
        is there a list of manga for [schools|youth groups] by age?
        [mother|father] of a {age} year old here, is {title} alright?
        our [grandson|granddaughter], {age}, wants {title}, do we dare?
        a [stepdad|childminder] asks: which manga for {age} and {n} year olds?
        what manga can a {age} year old read [on her own|alone at night]?
    """,
}

FURTHER_AMBIGUOUS: dict[tuple[str, str], str] = {
    ("order_tracking", "returns"): """
        {order} is not [right|okay]
        only an empty [box|bag] came for {order}
        I need someone to look at {order}
        the parcel with {title} was [open|wet] when it came, half is missing
        {title} was to come on {day}, I [can't use it|don't need it] after that
        what do I do about [{order}|my {title} parcel]?
        {order} went back to you, [why|and now]?
        my {item} is not in the [box|parcel] from {order}
        wrong box, I think: [{order}|mine was {order}]
        [trouble|an issue] with order {order}
        only {n} of the things in {order} are here
        the neighbour got my {title} parcel and it is [open|damaged]
        the [postman|driver] refused to hand me {order}
        {order} [again|once more], please help
        what happens with my money if {order} does not come?
        nobody wants to take {order} back or [find|deliver] it
    """,
    ("checkout", "account"): """
        my address is wrong and I can't [buy|order]
        it does not know me when I want to pay
        where do I [enter|put] my code?
        my gift card is not [shown|there]
        I [changed|lost] my card, now nothing works
        the site says my details are [not complete|invalid]
        why can't I use my [discount|credit]?
        the [sms|mail] with the code does not come
        I want to [remove|change] the card
        my [points|member price] for {title} are not taken off
        it logs me out [all the time|when I order]
        my name on the [order|invoice] is wrong
        do I have to [register|sign up] to get {title}?
        the [student|member] discount does not show
        my details are gone and so is my basket
        how do I add a [card|voucher]?
    """,
    ("escalation", "returns"): """
        I [demand|want] a refund and I want it now
        you [sold|sent] me rubbish, shame on you
        third time I ask for my money for {title}
        refund {order} or my [bank|lawyer] will
        [broken|torn] {item}, rude answer, no refund
        nobody [replies|answers] about my return
        this {title} is a [joke|scandal] and you know it
        I'm not [paying|going away] until you take the {item} back
        who is going to [replace|pay for] my ruined {title}?
        you lost my return and nobody is [sorry|responsible]
        my return was refused, that is [outrageous|theft]
        take your [broken|awful] {item} and leave me alone
        I want [justice|satisfaction] for my damaged {title}
        [why|how] can nobody give me my {price} back?
        I will send this {item} to your [boss|office] myself
        money back, [now|today], I am tired of this
    """,
    ("recommendation", "age_sensitive_recommendation"): """
        what is [nice|good] for a young reader?
        something [sweet|innocent] in {genre}?
        what do kids [like|read] nowadays?
        a {genre} manga for the [whole family|school holidays]
        my [little sister|cousin] likes {title}, what next?
        a [calm|soft] series like {title}
        a present for my [grandchild|godchild]
        is there {genre} without too much [drama|fighting]?
        which manga did you read as a [child|teenager]?
        is {title} [hard|heavy] to read?
        a [starter|first] manga for my [boy|girl]
        what do you [give|recommend to] students?
        {genre} for [beginners|youngsters]?
        my [daughter|son] finished {title}
        something like {title}, but [lighter|happier]
        would a [family|class] like {title}?
    """,
    ("availability", "product_question"): """
        does {title} come as a {item}?
        is volume {volume} of {title} [out|a thing]?
        {title} in [colour|hardcover]?
        what [editions|versions] of {title} are there?
        is there more of {title} after volume {volume}?
        anything by {author} in English?
        is the {item} of {title} the [new|complete] one?
        {title}, [all of it|every volume]?
        which {item} is this, {title}?
        is {title} [ever|still] printed?
        do I get {title} in [one|two] books?
        {title} with [extras|poster]?
        what is new by {author}?
        is {title} also a [novel|figure]?
        how [long|far] does {title} go?
        are there [two|several] kinds of {title} {item}?
    """,
    ("shipping", "order_tracking"): """
        when does it [leave|go out]?
        [is|will] it be here by {day}?
        how does it get to {place}?
        {title} to {place}, how many days?
        [who|which courier] brings it?
        delivery [date|time] for {title}?
        can I say when it [comes|is brought]?
        does it [stop|wait] at customs on the way to {place}?
        my address in {place} has changed, is that a problem for the [post|delivery]?
        do you deliver on {day}?
        express to {place}, is it [quick|really express]?
        will {title} fit into my [letter box|mailbox]?
        how [soon|fast] can {title} be in {place}?
        what if I am not home when it [comes|arrives]?
        is anything [late|slow] because of the holidays?
        when do I [hear|know] more about the delivery?
    """,
}
