"""How customers of the manga shop put each of the ten requests: the templates that the generator fills.

One template per line. `[a|b|]` is a choice (one may be empty, none may nest), `{title}` a slot. Subjects stand in
blocks of eight, because `intents` deals every eight lines out as five for training, one for dev and two for
test: each split then meets every subject in words that the others never see.
"""

TEMPLATES: dict[str, str] = {
    "order_tracking": """
        where is my [order|parcel|package] {order}?
        can you [tell me|check] where order {order} is [right now|at the moment]?
        has {order} left your warehouse [yet|already]?
        I'd like to [know|find out] the whereabouts of my {item}, order number {order}
        [track|trace] order {order}[ please|]
        which depot is my [parcel|box] sitting in? The number is {order}
        [any news|any update] on {order}?
        my {title} order, [where has it got to|how far along is it]?
        I [ordered|bought] {title} {n} days ago and [it still has not come|nothing has arrived]
        order {order} is [late|overdue], it should have been here on {day}
        it has been {n} weeks and my {item} is still [not here|nowhere to be seen]
        why is {order} [taking so long|so delayed]?
        [the estimated date|the delivery date] for {title} has passed, what is going on with my parcel?
        my parcel was meant to come {day} but [the postman brought nothing|it never showed up]
        still waiting [for|on] the {title} {item} that I paid for {n} weeks ago
        the {item} I bought was promised for {day}, is it [lost|stuck somewhere]?
        the tracking link for {order} [does not work|shows an error]
        tracking has not [moved|been updated] since {day} for {order}
        I never got a tracking number for [my {title} set|order {order}]
        the courier page says [label created|in transit] for {n} days [now|], is my box moving at all?
        could you send me the tracking [code|number|link] for {order}?
        what courier is carrying {order} [and how do I follow it|]?
        the [app|site] says {order} cannot be found when I [track it|enter the number]
        which link do I use to [follow|watch] the parcel with {title}?
        what is the status of [order {order}|my order {order}]?
        has my [order|purchase] of {title} been [shipped|dispatched|sent out] yet?
        when will order {order} [arrive|get here|reach me]?
        is {order} [out for delivery|on the van] today?
        {order} says processing, when does it [ship|go out]?
        my preorder of {title} [was released|came out] on {day}, have you sent mine?
        [give me the eta of|what is the eta on] {order}
        will my {title} volumes [be here by|make it before] {day}?
        {order} is marked as delivered but [I have nothing|my mailbox is empty]
        it says my {item} was handed to a neighbour, [who|which one]? order {order}
        the driver [left|dropped] my {title} parcel [somewhere|at a wrong door], where is it?
        only {n} of the boxes in order {order} [came|arrived], where is the rest of the shipment?
        my package with {title} is [stuck in customs|held at customs], when does it move on?
        I moved house, can the parcel {order} that is on its way [be redirected|go to my new address]?
        delivered, says the courier. [Not to me|I see no box]. {order}
        can you find out if {order} [was returned to sender|got lost in the post]?
        did my parcel {order} [go out|leave your warehouse] already?
        in which [depot|sorting centre] is {order} now?
        where [has|did] my {title} parcel [gone|go]?
        {n} weeks of waiting [for|on] my {item}, still not here
        any update on my {title} parcel?
        I paid for {title} {n} weeks ago and am still waiting[ for it|]
        my delivery {order} is [days late|overdue]
        no tracking [number|code] [came|was sent] for {title}, where is my parcel?
        {order} [not found|unknown] in tracking
        when [does|will] my {title} parcel [arrive|come|get here]?
        is my {item} [shipped|on its way] yet? order {order}
        what's the eta [of|for] my {item}?
        {order} still shows processing, when is it [sent|shipped]?
        the courier [left|put] my {item} at the wrong [door|house]
        it says delivered, but there is no {title} in my mailbox
        tracking says delivered but {order} [did not come|is not here]
    """,
    "returns": """
        I want to [return|send back] {title} volume {volume}
        how do I [return|send back] {a_thing} I [don't want|no longer need]?
        can I [bring back|give back] the {item} I bought [last week|on {day}]?
        please [start|open] a return for order {order}
        I'd like to ship {title} back to you, [what do I do|how does that work]?
        need a return label for {order}
        I [changed my mind|had second thoughts] about {title}, can it go back?
        return {order}[ please|]
        I want [a refund|my money back] for {title}
        I sent the {item} back {n} days ago and [no refund yet|the money has not come]
        when do I [get|receive] the refund for order {order}?
        refund {order}[ now|]
        will you [refund|pay back] the shipping if I return my {item}?
        you took {n} volumes back but only [refunded|paid back] one of them
        how long until [my money is back|the refund appears] after a return?
        could I have store credit instead of [a refund|the money] for {title}?
        my copy of {title} came [damaged|bent|torn], I want it replaced
        the {item} arrived with [a broken corner|water damage|missing pages]
        pages {n} to {volume} are missing in my {title}, can I exchange it?
        the [cover|spine] of {title} volume {volume} is [ripped|crushed], send me a new one
        I opened the box and my {item} is [broken|scratched all over]
        {title} smells of smoke and has stains, I [won't keep|don't want to keep] it
        my {item} is misprinted, [how do I swap it|can I get another]?
        damaged {item} in order {order}, [replacement please|need a replacement]
        you sent me the wrong [volume|book], I ordered {title} {volume}
        I got {title} in [French|German|Japanese] but I ordered English, I want to exchange it
        there was [somebody else's|a different] {item} in my box, how do I give it back?
        wrong item in {order}, I need to [swap|exchange] it
        I received volume {volume} twice, can I [return|send back] one?
        this is not the {item} I [ordered|picked], please take it back
        exchange {title} {volume} for the next volume, [I bought the wrong one|my mistake]
        instead of {title} I found some {genre} book in the parcel, [what about an exchange|can we swap]?
        what is your [return policy|policy on returns]?
        how many days do I have to [return|send back] {a_thing}?
        can I return {a_thing} [after opening it|without the plastic wrap]?
        do I need the receipt [to return|for returning] {a_thing}?
        who pays [the postage|for shipping] when I send {a_thing} back?
        is it possible to return {a_thing} that [was on sale|I got as a gift]?
        where do I [post|mail] the books that I am returning?
        I missed the return window for {title} by {n} days, can you still take it?
        I would like to [give back|return] the {item} that I bought [on {day}|]
        I had second thoughts and want to [return|send back] {title}
        how do I give {title} back to you?
        where is [my refund|the refund] for the {item} that I sent back?
        what are your rules for [returns|sending things back]?
        how long does [the refund|getting the money back] take once you have my {item}?
        money back for {title}[ please|], I returned it {n} weeks ago
        my {item} has [missing pages|a broken spine|water stains], I want a new one
        this {title} is [dirty|stained|torn], I won't keep it
        I ordered {title} in English and got [Japanese|French|another language], exchange please
        {title} arrived [torn|bent|damaged], can you replace it?
        you delivered somebody else's {item}, how do I [return|give back] that?
        please swap my [damaged|faulty] {item}
        can I still return {a_thing} once it is [unwrapped|opened]?
        I got the wrong {item}, please exchange it
        do I pay [the postage|shipping] for a return?
    """,
    "checkout": """
        my [card|credit card] was [declined|refused] when I tried to buy {title}
        the payment for my {item} [failed|did not go through]
        why is my card [not accepted|rejected] at checkout?
        it says payment error when I [pay|press pay]
        I was charged twice for [the same cart|my basket], {price} each
        my bank approved it but your [checkout|payment page] says failed
        paypal [sends me back|throws me out] before I can pay for {title}
        payment [stuck|hangs] at processing for {n} minutes
        my [coupon|promo code|voucher] [does not work|is not accepted] in the cart
        where do I [enter|type in] my discount code when paying?
        the basket does not take off the {n} percent [discount|reduction]
        can I use [two codes|a gift card and a coupon] on one purchase?
        code {code} says invalid [at checkout|when I pay]
        my gift card balance is not [deducted|used] when I pay for {title}
        [how do I apply|how to use] a voucher before paying?
        the free {item} from the offer is not showing in my [cart|basket]
        I cannot [add|put] {title} to my [cart|basket]
        my cart is [empty|gone] every time I go to the payment page
        how do I [remove|delete] the {item} from my basket?
        the buy button for {title} [does nothing|is grey]
        how can I change the [number of copies|quantity] in the cart before I pay?
        cart shows {price} but the payment page shows [more|another sum], why?
        the site [freezes|crashes] when I click checkout with {n} volumes
        it keeps saying my [basket|cart] has expired
        can I pay [with|by] [paypal|bank transfer|klarna]?
        which [payment methods|cards] do you take?
        do you accept [apple pay|google pay|american express] for {a_thing}?
        is it possible to pay in [instalments|{n} parts] for the {title} {item}?
        can I [pay cash|pay on delivery] when I buy {a_thing}?
        can I pay in [yen|euros|dollars] [from {place}|]?
        is it safe to [enter|type] my card number on your payment page?
        I want to buy {title} with a gift card, [is that possible|how]?
        the address form at checkout [won't accept|rejects] my postcode
        I can't get past the [delivery step|address step] of the checkout
        I want to finish my purchase of {title} but [it asks me to log in again|the page reloads]
        how do I [place|complete] my order [for {title}|]? I can't find the button
        do I need an account to [check out|buy something]?
        can you help me [complete|finish] the purchase of {title} {volume}?
        the security code from my bank never [comes|arrives] while I am paying
        how do I get [an invoice|a receipt] with my company name when buying {a_thing}?
        why was my [card|payment] [refused|declined] when I bought {title}?
        the payment page [throws me out|sends me back] to the cart
        payment for {title} [failed|declined] again
        where can I [enter|use] my [voucher|promo code] when I pay?
        checkout [fails|stops] when I pay for {title}
        the code {code} is [refused|not accepted] at checkout
        my discount code does nothing in the cart
        the [basket|cart] won't let me add {title}
        how do I change [the quantity|how many copies] in my basket?
        which cards [can I pay with|does your checkout take]?
        I put {title} in the basket but the basket stays empty
        can I pay [for {title} |]in [my currency|euros|yen|pounds]?
        can I pay for my basket with two cards?
        the checkout page [rejects|does not accept] my [address|postcode]
        do you take [paypal|visa] when I pay for {a_thing}?
        where is the button to [buy|place my order]?
    """,
    "escalation": """
        I want to [talk|speak] to a [human|person|real person]
        [connect|transfer] me to an agent[ please|]
        can I [chat|talk] with someone from [support|your staff]?
        [stop|enough] with the bot, give me a [human|real employee]
        is there a [person|human being] I can [call|phone]?
        I need [a live agent|somebody alive], not a robot
        [human|agent|operator] please
        what is the phone number of your [support|customer service] team?
        I want to [speak to|see] your [manager|supervisor]
        let me [talk to|have a word with] whoever is in charge
        get me [the boss|the manager|someone senior]
        put this [through|up] to a supervisor, now
        who is the person above you? I want [them|their name]
        I demand that a [manager|team leader] calls me back [today|by {day}]
        please escalate [this|my case] to [the next level|a manager]
        I won't discuss this with anyone but [the owner|a manager]
        I want to [file|make] a [formal|serious|] complaint
        this is the {n}th time I write and nobody [answers|helps me]
        your service is [terrible|a disgrace|awful], I am [furious|fed up]
        [how do I complain|where can I complain] about how I was treated?
        I have been ignored for {n} weeks, this is [unacceptable|outrageous]
        worst shop ever, you keep [lying|giving me the runaround]
        your colleague was [rude|very unfriendly] to me on the phone
        I am [so|really] angry with the way you [handle|treat] customers
        I will [call|contact] my lawyer if this is not [solved|fixed]
        I'm going to report you to [consumer protection|the police|the authorities]
        I will post about this [everywhere|on every review site] unless somebody reacts
        expect a letter from my [solicitor|lawyer] about {order}
        I'll [dispute the charge|go to my bank] if no one [calls|contacts] me today
        you are [scammers|thieves], I want this looked at by someone with authority
        next step is [small claims court|legal action], last chance
        a journalist friend is going to [hear about|write about] how you treat people
        this bot [does not understand|keeps misunderstanding] me, get me someone who does
        you [gave|told] me the same answer {n} times, I need actual help from a person
        none of that [helps|solves it], pass me on to [someone|a colleague]
        I already explained everything to the bot, can a person [take over|read it]?
        can [someone|somebody] call me back [on {day}|today]?
        nobody [replied|responded] to my {n} emails, I want a real answer from staff
        I'm [losing patience|done with automated replies], who can I talk to?
        my case has been open for {n} weeks, I want it [raised|brought] to someone who decides
        give me a human [to chat with|now], not this bot
        I need to speak to [someone|somebody] real
        let me speak with a [real person|human agent]
        who is in charge here? I want to talk to the [boss|manager]
        can a human read this, please? the bot does not help
        pass my case to [a manager|your superior], I insist
        I want your manager to [call me|deal with this]
        I want to complain [formally|officially], nobody helped me in {n} weeks
        I am [furious|angry] and fed up with how you treat [me|customers]
        my lawyer will [contact you|write to you] about {order}
        I have a complaint about your awful service
        I'll tell [the press|everyone online] about you if nobody reacts
        this is outrageous, get me your supervisor
        the bot gives me useless answers, I want [an employee|a person]
        I'm going to take legal action if nobody helps me
        nobody answers my emails, I want somebody from [staff|support] to call me
    """,
    "age_sensitive_recommendation": """
        what manga [is right|is good|would you suggest] for a {age} year old?
        my [daughter|son] is {age}, what can [she|he] read?
        looking for [something|a series] for my {age} year old [nephew|niece|cousin]
        which {genre} manga can I give to a kid of {age}?
        gift for a {age} year old [boy|girl] who likes {title}
        [recommend|suggest] a first manga for my [little brother|little sister], aged {age}
        my grandchild turns {age} and loves comics, [what should I pick|any ideas]?
        suitable series for [children|kids] around {age}?
        is {title} [appropriate|okay|suitable] for a {age} year old?
        can my {age} year old [read|have] {title}?
        is there anything [too mature|not for kids] in {title}?
        from what age [can you read|is it okay to read] {title}?
        would you give {title} to a [child|teenager] of {age}?
        {title} for {age} year olds, [yes or no|too young]?
        my kid asks for {title}, is it [child friendly|safe for children]?
        at what age did you let your kids read {title}? mine is {age}
        what is the age rating of {title}?
        is {title} [rated teen|rated mature|18+]?
        do you [check|ask for] ID for [adult|mature|18+] manga?
        which of the {genre} titles are [all ages|rated for teens]?
        where can I see the [age rating|content rating] of {a_thing}?
        [show me|list] only manga rated for [all ages|teen readers]
        my {age} year old ordered {title}, is that [allowed|legal at that age]?
        parental advice for {title}? my kid is {age}
        how much [violence|blood|gore|nudity] is in {title}? it is for a [kid|teen]
        does {title} have [sex scenes|fan service]? my [son|daughter] wants it
        [no blood|nothing scary], for a child of {age}, what have you got?
        I need a {genre} manga without [gore|sexual content|swearing] for my [child|class]
        is the horror in {title} too much for a {age} year old?
        something like {title} but [cleaner|less violent], for my {age} year old
        a {genre} series with no [adult themes|romance scenes] that a {age} year old may read
        content warnings for {title}? I'm a parent
        I'm a [teacher|librarian], which manga can I put in a classroom of {age} year olds?
        we need [{n} series|a few titles] for the children's [section|library]
        school library here: is {title} fine for [grade {n}|middle school]?
        [family friendly|wholesome] {genre} manga to read with my kids?
        bedtime manga for a {age} year old, [any tips|what do you advise]?
        what do [twelve|ten|thirteen] year olds like to read that parents [approve of|can trust]?
        can you [pick|choose] manga for a youth club, they are {age} and up
        my [teen|{age} year old] has read all of {title}, what is next that is not too adult?
        [suggestions|ideas] for my {age} year old [niece|nephew|cousin]?
        which manga is [fine|right] for [children|a child] of {age}?
        what would a {age} year old [girl|boy] enjoy?
        is there anything in {title} that is not for [children|kids]?
        age rating for {title}[ please|]?
        is {title} okay for my kid, who is {age}?
        is {title} suitable for children?
        is {title} an [18+|adults only|mature] series?
        can [minors|someone of {age}] buy [18+|mature] manga from you, do you check ID?
        which {genre} books are without gore [and fan service|] for my {age} year old?
        what is the minimum age for {title}?
        is {title} too [scary|violent|bloody] for a child of {age}?
        a manga for my kid, {age}, with no blood
        what manga may I put in a [school|classroom|children's] library?
        my {age} year old wants {genre}, what is not too violent?
        what can [parents|families] read together with a {age} year old?
    """,
    "recommendation": """
        what should I read after {title}?
        I [loved|enjoyed] {title}, what else is like it?
        [recommend|suggest] something similar to {title}
        anything in the style of {author}?
        which series would [fans|readers] of {title} like?
        if I like {title} and {genre}, [what next|where do I go next]?
        more [stuff|manga] like {title}[ please|]
        I've run out of {title}, need [a new series|the next obsession]
        can you [recommend|suggest] a good {genre} manga?
        what is the best {genre} series [right now|these days|]?
        I'm in the mood for {genre}, [ideas|any suggestions]?
        looking for a {genre} manga with [great art|a strong heroine|a slow burn]
        surprise me with some {genre}
        [which|what] {genre} title should I start with?
        top {n} {genre} manga[ please|]?
        I want {genre} but [not too long|with humour], what do you advise?
        I'm new to manga, where [should I|do I] begin?
        what is a good first [manga|series] for [an adult|a grown-up] beginner?
        never read manga before, what would you [give me|pick for me]?
        my book club wants to try manga, [what shall we read|which one]?
        best entry point into {author}'s work?
        I only know anime, [which manga is worth it|what should I read]?
        I usually read novels, which manga [would suit|might convert] me?
        I dropped manga years ago, what [got good|did I miss] since?
        what is [popular|trending] this month?
        what are the staff [picks|favourites] in {genre}?
        which new series is [everyone|everybody] talking about?
        what won [awards|prizes] lately that I should read?
        any hidden gems [in {genre}|by {author}]?
        what are people who bought {title} [buying|reading] now?
        what's hot in {genre} [this season|this year]?
        is there an underrated [series|manga] you would push on me?
        gift idea for [a friend|my boyfriend|my wife] who loves {title}?
        what would you [buy|choose] for a {genre} fan with everything?
        I need a short series, [under|at most] {n} volumes, any tips?
        a finished series to binge [over the weekend|on holiday]?
        should I read {title} or something by {author} [first|next]?
        which {author} [series|book] is the best one?
        I want to cry, which manga [will do it|do I take]?
        {title} or is there [something better|a better one] in {genre}?
        give me [something|a series] like {title}
        what would you read next if you loved {title}?
        I finished {title}, what next?
        which {genre} manga [do you recommend|is worth reading]?
        looking for something similar to {title}
        any {genre} series with [a good plot|nice art] that I should try?
        recommend me some {genre} that is [popular|good]
        what is a good manga for [somebody|an adult] who has never read any?
        which of {author}'s books do I [start|begin] with?
        which manga is everyone reading [this month|at the moment]?
        where do I start as a new reader of {genre}?
        surprise me, I like {genre}
        best {genre} manga for a [newcomer|fan]?
        a short [series|read] to finish in a weekend, [ideas|suggestions]?
        which manga would you suggest for [a rainy day|the holidays]?
        what would make a good present for a {title} fan, my [wife|friend]?
    """,
    "product_question": """
        how many [pages|chapters] does {title} volume {volume} have?
        number of volumes in the {title} {item}?
        does volume {volume} of {title} [end|finish] the story?
        which chapters are [in|collected in] {title} volume {volume}?
        how [big|thick|heavy] is the {title} {item}?
        what are the [dimensions|measurements] of the {item}?
        how many volumes [are there of|does the series] {title}[ have in all|]?
        is {title} [finished|complete|still running]?
        does your {title} have the [original|uncensored] text?
        who [translated|did the translation of] {title}?
        is {title} in [English|Japanese|Spanish]?
        which language is the {title} {item} [in|printed in]?
        do you have {title} [bilingual|with furigana] or is it plain Japanese?
        are the sound effects [translated|left in Japanese] in {title}?
        is there an [English|official] translation of {title}?
        is the {title} translation the [new|old|revised] one?
        what is the difference between the {item} and the [normal|regular] edition of {title}?
        does the {title} {item} [come with|include] a poster?
        is the {item} of {title} [hardcover|softcover]?
        does {title} read [right to left|left to right]?
        are there [colour pages|extras] in {title} volume {volume}?
        is the paper of the {item} [thin|good quality]?
        what is [inside|part of] the {title} {item}?
        is the {title} {item} the same size as my [older|other] volumes?
        who [wrote|drew] {title}?
        what is {title} about?
        what genre is {title}[, {genre}|]?
        is {title} by the [same author as|person who made] other {genre} books?
        can I read {title} without [knowing|having seen] the anime?
        in which order do I read {title} and its [spin-off|sequel]?
        where does the anime stop in the {title} manga, [which volume|what chapter]?
        does {title} have a [sequel|prequel]?
        who is the publisher of {title}?
        what is the isbn of {title} volume {volume}?
        is this {title} {item} [official|licensed] or a [bootleg|copy]?
        what is the {item} made of, [plastic|resin|cotton]?
        when was {title} first [published|printed]?
        is the ebook of {title} [a pdf|for kindle]?
        how tall is the {title} figure[, and what scale|]?
        is my {title} print a first edition? how can I [tell|see]?
        has {title} [ended|finished] or does it go on?
        which chapters does volume {volume} of {title} [contain|collect]?
        page count of {title} volume {volume}?
        how many [books|volumes] are inside the {title} {item}?
        is volume {volume} the last one of {title}?
        is the text of {title} the [uncut|original] one?
        in what language is {title} printed?
        who did the English translation of {title}?
        is the {title} {item} hardcover or paperback, and what comes with it?
        what [kind of story|genre] is {title}?
        does the {title} {item} have extras [inside|in it]?
        what is the plot of {title}?
        what size is the {item}?
        do I have to know [the anime|another series] before {title}?
        who is the author of {title}?
        is the {title} {item} real or [a bootleg|fake], and who is the publisher?
    """,
    "availability": """
        do you have {title} [in stock|available]?
        is {title} volume {volume} in stock?
        have you got {title} {volume} [right now|at the moment]?
        how many copies of {title} {volume} [are left|do you have left]?
        [in stock|available]: {title} {volume}?
        is the {title} {item} still [available|to be had]?
        I can't find {title} on your site, do you [sell|carry|stock] it?
        do you sell anything by {author}?
        when will {title} [be back in stock|be restocked]?
        [waiting list|notification] for {title}?
        [tell|notify] me when {title} {volume} is back
        will you [get|order in] more of the {title} {item}?
        the {item} is out of stock, [any date|do you know a date]?
        volume {volume} of {title} has been unavailable for months, is it [out of print|coming back]?
        {title} volume {volume} is sold out, [when is the reprint|will there be more]?
        how [often|soon] do you restock {title}?
        when does {title} volume {volume} [come out|release|launch]?
        release date of the next {title}?
        can I [preorder|reserve] {title} {volume}?
        when do preorders for the {title} {item} [open|start]?
        has volume {volume} of {title} been [released|published] yet?
        is there a date for the new book by {author}?
        was {title} {volume} [delayed|pushed back], it isn't out yet?
        how do I reserve [a copy|{n} copies] of the new {title}?
        is {title} in your [shop|store] in {place}?
        can I [pick up|collect] {title} in {place} today?
        do you have a second-hand [copy|set] of {title}?
        could you put {title} {volume} aside [for me|until {day}]?
        do you have the complete set of {title}, [all volumes|every volume]?
        I'm missing {title} {volume} to {volume}, [got them|do you have those]?
        which of your shops [has|stocks] {title} {volume}?
        is the {genre} [shelf|section] still in the {place} store?
        do you carry {title} as an ebook [too|as well]?
        is a {item} of {title} [planned|coming] this year?
        is the [Japanese|French|German] edition of {title} something you can get?
        looking for volume {volume} of {title}, [any left|is it around]?
        do you sell [single issues|magazines] with {title}?
        will there be [a {item}|any merch] of {title}?
        any chance you [import|bring in] {title}?
        does the shop have [merch|goods] from {title} at the moment?
        are copies of {title} {volume} still [available|in stock]?
        [tell|email] me when {title} {volume} can be bought again
        is {title} sold out or can I still get it?
        is there a waiting list for the {title} {item}?
        do you have volume {volume} of {title}?
        do you [also|] have used or second-hand copies of {title}?
        when can I preorder volume {volume} of {title}?
        was the release of {title} {volume} [postponed|moved]?
        can your shop in {place} [put aside|hold|reserve] {title} for me?
        will you have [a {item}|goods] from {title} [later|soon]?
        when do you get {title} back in stock?
        do you plan to import {title}?
        when is the next {title} volume released?
        do you stock the [Korean|Italian|Japanese] edition of {title}?
        does your {place} store have {title}?
        I can't see {title} in your shop, is it sold out?
    """,
    "shipping": """
        how much is [shipping|delivery|postage] to {place}?
        what does it cost to [send|ship] {n} volumes to {place}?
        is [shipping|delivery] free above {price}?
        from what amount is [postage|delivery] free?
        do I pay extra shipping for a [heavy|large] {item}?
        shipping [fees|rates|costs] for {place}?
        if I buy {n} books, do I pay [postage|delivery] once or for each?
        what are your delivery [charges|prices] for the {item}?
        do you [ship|deliver] to {place}?
        can you send [books|manga] abroad, [say to|for example to] {place}?
        which countries do you [ship|deliver] to?
        is [overseas|international] shipping [possible|offered]?
        do you deliver to [a po box|an army address]?
        can I have things delivered to a [parcel locker|pick-up point] in {place}?
        I live in {place}, would you [post|mail] manga here?
        is {place} in your delivery [area|zone]?
        how long does [shipping|delivery] to {place} take?
        how many days does [standard|express] delivery usually take?
        if I buy [today|on {day}], how fast do you [normally|generally] deliver?
        do you have [same-day|next-day|overnight] delivery?
        would {a_thing} reach {place} before Christmas if I buy it on {day}?
        do you ship on [weekends|Sundays|holidays]?
        what is the [usual|normal] delivery time to {place}?
        how quickly do you [send things out|dispatch] in general?
        which [courier|carrier|delivery company] do you use for {place}?
        do you offer [express|tracked|insured] shipping?
        can I choose [the carrier|a time slot] for deliveries?
        do I have to sign for [deliveries|parcels]?
        are [deliveries|parcels] to {place} insured?
        what shipping [options|methods] are there?
        do you [gift wrap|wrap presents] and ship to another address?
        how do you pack a {item} so that it is not [bent|damaged] on the way?
        will I pay customs [duty|fees] in {place}?
        do prices for {place} include [import tax|vat]?
        who pays the [duties|import charges] when you ship to {place}?
        can you ship preorders and [other books|in-stock items] together?
        can I have several [orders|purchases] sent in one box to save [postage|shipping]?
        do you ship [each volume|every preorder] separately?
        do you use [plastic-free|recycled] packaging?
        is it [cheaper|faster] to ship to {place} by [sea|air]?
        does [free shipping|free delivery] start at {price}?
        what do you charge for [delivering|shipping] to {place}?
        shipping cost to {place}?
        do you [deliver|ship] to [a pick-up point|parcel lockers] in {place}?
        what is the postage for {n} books to {place}?
        can you ship [abroad|outside the country], for example to {place}?
        is {place} a country that you deliver to?
        if I order today, how many days does delivery [usually|normally] take?
        is there [express|overnight|same-day] shipping to {place}?
        do I have to be at home to [sign for|receive] deliveries?
        how fast is your delivery to {place} in general?
        which [shipping methods|carriers] can I choose?
        do you send manga to {place} by [air|express]?
        how well are books [packed|protected] when you ship them?
        do you combine several orders into one shipment?
        are [import taxes|customs duties] included when you ship to {place}?
    """,
    "account": """
        I forgot my password
        how do I [reset|change] my password?
        I can't [log in|sign in] to my account
        the password reset email [never comes|does not arrive]
        my account is [locked|blocked] after {n} tries
        [login|sign in] not working
        it says my email is [unknown|not registered] when I sign in
        how do I turn on [two-factor|two-step] login?
        how do I [change|update] my email address?
        I have a new [phone number|surname], where do I [change|enter] it in my profile?
        how can I [edit|update] the address in my profile?
        can I have {n} addresses [saved|stored] in my account?
        please [correct|fix] the spelling of my name in my [profile|account]
        where are my account [settings|details]?
        how do I remove the [saved|stored] card from my profile?
        can I change my [username|nickname]?
        I did not get the [points|stars] for my last {n} purchases
        when do my [points|reward points] expire?
        how many [points|loyalty points] do I have?
        how does the [membership|loyalty programme|rewards club] work?
        how do I [join|become a member of] the reader club?
        what can I do with my [reward|bonus] points?
        is the [premium|gold] membership worth it, what do members get?
        cancel my [membership|subscription]
        [delete|close] my account[ please|]
        what data do you [keep|store] about me?
        how do I [unsubscribe from|stop] the newsletter?
        send me a copy of [my data|my personal data]
        I have two accounts, can you [merge|combine] them?
        too many emails from you, [how do I stop that|take me off the list]
        I think [somebody else|a stranger] is using my account
        how do I [make|create|open] an account?
        can my [brother|friend|girlfriend] and I share one account?
        where do I see my [past orders|order history] in my profile?
        where is my [wish list|reading list] in the account?
        how do I [edit|share] my wish list?
        can I follow {author} in my [account|profile] for news?
        how do I get alerts on {genre} in my [profile|account settings]?
        switch the language of my account to [English|Japanese]
        how do I link my [google|apple|facebook] login to my account?
        why can't I [sign in|log in]? it does not know my email
        my login is blocked, how do I get into my account?
        I need a new password for my account
        where do I [update|change] my [profile|name|phone number]?
        I can't get into my account, the password is wrong
        how do I [delete|remove] a saved [address|card] from my account?
        how many points are in my account?
        my [bonus|reward] points are missing from my account
        is the [paid|premium|gold] membership good, which benefits do members have?
        somebody [hacked|got into] my account, what do I do?
        how can I close my account and membership?
        I get too much newsletter mail, [unsubscribe me|stop it]
        how do I sign up for an account?
        which personal data is stored in my [account|profile]?
        change the [email|name] in my profile[ please|]
        where can I find my [wish list|old orders] when I am signed in?
    """,
}

# A text that two intents can claim: a desk that labels such messages picks the first more often than the second.
AMBIGUOUS: dict[tuple[str, str], str] = {
    ("order_tracking", "returns"): """
        {order} never came, [what now|what happens now]?
        something is wrong with {order}
        I don't want to wait for {title} any longer
        question about [my parcel|my order] {order}
        the box for {order} [came half empty|is not complete]
        help with {order}
        {title} from {order} [isn't here|is not in the box]
        problem with my delivery of {title}
    """,
    ("checkout", "account"): """
        I can't buy {title} because I can't log in
        my code is not [working|accepted]
        my points don't show when I want to pay
        it asks for a code that I don't have
        my saved card is [gone|wrong]
        the site does not let me continue
        how do I use my points for {title}?
        error on my [page|screen]
    """,
    ("escalation", "returns"): """
        give me my money back or else
        I've asked for a refund {n} times, this is a joke
        nobody cares about my broken {item}
        I want my {price} back and an apology
        your damaged {item} ruined my [birthday|day] and nobody helps
        this {item} is garbage and so is your service
        I refuse to keep this {item}, who do I talk to?
        third wrong {item} in a row, are you serious?
    """,
    ("recommendation", "age_sensitive_recommendation"): """
        what should I get for my [nephew|niece]?
        a manga for my [son|daughter]
        something [light|harmless] in {genre}?
        gift for a young fan of {title}
        what do teenagers read these days?
        is {title} too [dark|grim]?
        something nice for [the family|the kids' room] like {title}
        which {genre} manga is not so [brutal|heavy]?
    """,
    ("availability", "product_question"): """
        is there a {item} of {title}?
        {title} {volume}?
        does {title} exist in English?
        which volumes of {title} are there?
        {title} {item}
        is the {title} {item} the latest one?
        how many of {title} are there?
        anything new about {title}?
    """,
    ("shipping", "order_tracking"): """
        how long does it take to {place}?
        when do things get to {place}?
        do I get a tracking number?
        how long until {title} is here?
        delivery to {place}, when?
        does it come with tracking to {place}?
        is the post slow in {place} at the moment?
        how many days until I get {title}?
    """,
}
