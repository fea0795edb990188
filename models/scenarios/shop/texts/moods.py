"""How customers of the manga shop sound: what the sentiment generator fills, by mood and by tone.

One template per line, written as in `mct.models.scenarios.shop.phrases`: `[a|b|]` is a choice, `{title}` a slot, and
subjects stand in blocks of eight, which are dealt out as five for training, one for dev and two for test.

A tone says how the mood shows. "straight": in plain words. "sarcastic": the words praise, the customer does not.
"polite": the words stay kind. "turned": another mood is told of first, the last one counts. A calm message is a plain
request, so the requests of the intent router serve for that one.
"""

MOODS = ("annoyed", "calm", "content", "frustrated", "worried")

TEMPLATES: dict[tuple[str, str], str] = {
    ("content", "straight"): """
        {title} [came|arrived] today and it is [gorgeous|perfect], thank you
        what a [lovely|beautiful] {item}, I could not be happier
        the {item} [was packed|came wrapped] like a treasure, [great job|well done]
        my [daughter|son|sister] [adores|loves] {title}, thanks for the tip
        just wanted to say [thanks|thank you], order {order} was here in {n} days
        [best|nicest] manga shop I have ever [bought from|found]
        {title} volume {volume} is [every bit as good as|even better than] you promised
        you [made my day|made my week] with that {item}
        your [support|helper] was [wonderful|so kind] with my order {order}
        the refund [came|arrived] within {n} days, [brilliant|excellent] service
        I am [delighted|over the moon] with {title}
        the recommendation of {title} was [spot on|exactly my taste]
        [smooth|quick] delivery as always, I'll [be back|order again]
        [love|adore] the new {item}, the colours are [stunning|so rich]
        five stars for how you handled {order}
        thanks to your staff the {title} gift was there [on time|by {day}]
        [so happy|really pleased] with the {item} I bought on {day}
        it all went [well|smoothly] with {order}, cheers
        the print quality of {title} is [superb|outstanding]
        your shop is a [joy|delight], {title} came with a free bookmark
        I [showed|told] all my friends about the {item}, they want one too
        [great|fantastic] chat with your team yesterday, the return is settled
        the swap of volume {volume} was done in no time, [much appreciated|lovely]
        {title} looks [amazing|splendid] on my shelf, many thanks
        [perfect|flawless] from the first click to the doorbell
        I have {n} volumes of {title} now and [enjoy|treasure] every page
        the {item} is worth [every penny|every cent]
        what a [pleasant|nice] surprise to get {title} so early
        that was [easy|painless], my account works again, thank you
        you people [rock|are the best], {title} is here already
        [glad|happy] I chose you for {title}, [great|good] prices too
        my order {order} was complete and [in mint condition|spotless]
    """,
    ("content", "turned"): """
        I was [angry|cross] last week, but you put {order} right, thank you
        after a [bad|rough] start with {order} everything is [fine|wonderful] now
        the first {item} came broken, the new one is [perfect|lovely], great service
        I [feared|thought] {title} was lost and today it is here, I'm [so glad|thrilled]
        nobody answered at first, then your colleague fixed it all in minutes, [bravo|thanks]
        [sorry|apologies] for my rude message, {order} has come and it is [great|beautiful]
        it took {n} weeks, yet {title} is [worth the wait|even prettier than I hoped]
        I wanted to complain, then saw the apology and the voucher, that is [generous|kind], thanks
    """,
    ("worried", "straight"): """
        I'm [worried|afraid] that {order} will not be here for the birthday on {day}
        is my card safe? there is a charge of {price} that I do not [know|recognise]
        I hope I did not [order|buy] {title} twice by mistake
        will {title} be too [scary|violent] for my child? I'm [unsure|uneasy]
        I'm [nervous|anxious] that the {item} got damaged on its way
        [please tell me|I need to know] that {order} is not lost
        did my payment of {price} go through? I'm not [sure|certain]
        I [think|fear] somebody else is [in|using] my account
        the {item} is a present and I'm [getting scared|starting to fret] it comes too late
        what if {title} sells out before {day}? it [keeps me awake|troubles me]
        I'm [a bit|quite] concerned that the courier has my old address for {order}
        could it be that you [forgot|missed] my order {order}?
        I might have [typed|given] the wrong street, can {order} still be changed?
        is it [normal|usual] that nothing moves for {n} days? it makes me nervous
        I'm [afraid|scared] the {title} set I got is a fake
        [oh no|oh dear], I think I deleted my order {order}
        it [worries|bothers] me that I never got a confirmation for {title}
        my {age} year old read {title} and now has [nightmares|bad dreams], should I be concerned?
        I'm [uneasy|not comfortable] with giving my card number again
        are my [details|data] safe after the mail I got about my password?
        I don't [want|wish] to lose my preorder of {title}, is it still there?
        the box of {order} looked [wet|dented], I do not dare to open it
        I'm [afraid|worried] to miss the return date for my {item}
        please say that volume {volume} of {title} is not cancelled
        I [lie awake|keep thinking] about whether {order} was really paid
        is the shop [closing|in trouble]? I have {price} of credit left
        what happens if I'm not in on {day}? I'm [scared|nervous] they send {order} back
        [help|please help], I sent {price} to the wrong account I think
        I'm [not sure|in doubt] whether the link I clicked about {order} was really yours
        my parents [must not|should not] see the bill, is the {item} neutrally packed? I'm nervous
        I [hope|pray] that {title} is not sold out, my son counts on it
        I'm [concerned|uneasy] about the smell of the {item}, is that ink dangerous?
    """,
    ("annoyed", "straight"): """
        the search on your site is [annoying|a pain], I never find {title}
        [again|once more] the wrong cover for {title}, please be more careful
        I [do not like|dislike] that volume {volume} has another spine than the rest
        {n} days for a parcel is [rather|too] slow
        the {item} came a bit [bent|scratched], [not great|that is a pity]
        why do I have to log in [every single time|over and over]?
        it is [irritating|tiresome] that {title} is out of stock [again|once more]
        your newsletter comes {n} times a week, that is [too much|silly]
        the app [forgot|emptied] my basket, now I have to start over
        [disappointed|let down] by the paper of the {item}
        your page [shows|said] {price} and the till says more, that is [odd|not nice]
        the chat window keeps covering the [button|price], [ugh|meh]
        I [expected|hoped for] better glue in {title}, pages come loose
        the parcel {order} was left in the rain, not [clever|ideal]
        [can't|cannot] you pack a {item} without half a metre of plastic?
        this is not what I [ordered|asked for], I wanted volume {volume}
        you [changed|moved] the menu and now I find nothing
        shipping costs more than the {item}, [really|seriously]?
        the bookmark for {title} was [missing|not in the box], a bit of a shame
        [hm|meh], the figure looks nothing like the picture
        the delivery window of eight hours is [a nuisance|annoying]
        I [dislike|don't enjoy] being asked for a review before the box is here
        the translation of {title} is [clumsy|sloppy]
        it [bugs|annoys] me that points run out after {n} months
        your coupon does not work on {title}, why [advertise|send] it then?
        the corner of {title} is dented, [third rate|poor] packing
        I had to [explain|type] my question twice
        the price of {title} went up [overnight|again], not happy about it
        wrong [size|colour] in order {order}, that costs me an afternoon
        the site is slow [tonight|today], pages take ages
        a bit [grumpy|miffed] that my {item} comes after everybody else's
        you [could|might] at least say when {title} is delayed
    """,
    ("annoyed", "sarcastic"): """
        [nice|cute], a {item} with somebody else's name on it
        [lovely|charming], the coupon works on everything but {title}
        so the app emptied my basket, [how thoughtful|what a treat]
        [great|super], volume {volume} with a different spine, my shelf loves it
        [wow|oh], only {n} logins today, a new record
        eight hours waiting for the doorbell, [just what I wanted|my favourite hobby]
        a free dent with {title}, [how generous|you shouldn't have]
        [fun|exciting], another newsletter about things I own already
    """,
    ("frustrated", "straight"): """
        this is the {n}th time I [write|ask] about {order} and nobody answers
        I have had it, [cancel|stop] everything and give me my money back
        {n} weeks, {n} calls and still no {title}, [enough|I am done]
        nobody [helps|listens], I keep explaining {order} from the start
        I'm [fed up|sick and tired] of your promises about the {item}
        every time I call I get cut off, [this is unbearable|I can't take it any more]
        you [lost|ruined] my {item} again, that is [unacceptable|outrageous]
        I give up, [take|keep] the {item}, I will never buy here again
        I am [furious|livid], you charged {price} twice and ignore me
        the bot sends me [in circles|round and round], get me a human [now|at last]
        [why does|how come] nobody read what I wrote about {order}? for the {n}th time!
        I have sent the photos {n} times, what else do you [want|need]?
        this is [ridiculous|absurd], {order} has been open for {n} weeks
        you [keep|go on] closing my ticket and nothing is solved
        I took {day} off for {order} and again [nobody came|no one rang]
        [stop|quit] sending me the same answer, it does not work
        I'm at the end of my [patience|tether] with {order}
        third replacement, third broken {item}, are you [joking|serious]?
        I want [somebody|a manager] to fix {order} today or I go to my bank
        you have my {price} and I have nothing, that is [theft|a scam]
        I [begged|asked] for help since {day} and get silence
        [absolutely|utterly] useless, all of you, {order} is still wrong
        I will [close|delete] my account, you have wasted {n} weeks of my life
        every answer contradicts the last one, nobody knows where {order} is
        how often do I have to [repeat|say] that {title} never came?
        you [promised|swore] it would be here by {day}, and again it is not
        I'm [so|beyond] angry, the refund was promised {n} weeks ago
        my kid cried on the birthday because of you, {order} never [came|showed up]
        I [cannot|can't] believe that I must fight for {price} that is mine
        [shame on you|disgraceful], {n} mails and not one reply
        no more [excuses|stories], where is my {title}
        nothing works here, not the site, not the phone, not {order}, [I quit|I'm out]
    """,
    ("frustrated", "sarcastic"): """
        oh [great|wonderful], the {n}th apology and still no {title}
        [bravo|congratulations], you have lost {order} again
        thank you [so much|ever so much] for {n} weeks of nothing
        [brilliant|fantastic] service, I only had to call {n} times and still no refund
        I just love [repeating|explaining] {order} to a new person every day
        [super|marvellous], closed my ticket once more, problem solved I guess
        what a [joy|pleasure] to wait for {title} since forever
        [sure|of course], send the same answer a {n}th time, that will help
        [wow|amazing], another broken {item}, you really outdo yourselves
        how [kind|sweet] of you to keep my {price} and my {item}
        five stars for [ignoring|forgetting] me {n} weeks in a row
        the birthday was [lovely|great], shame the present from {order} skipped it
        your bot is a [genius|marvel], it told me to wait for what came back to you weeks ago
        [no hurry|take your time], it is only the {n}th week with {order}
        please [do|go on], cancel {title} again, I enjoy the suspense
        [perfect|splendid], hung up on once more, I was getting bored of the music
    """,
    ("frustrated", "polite"): """
        I'm sorry to [trouble|bother] you a {n}th time, but {order} is still not solved
        with all respect, I have [explained|described] this {n} times now and I am out of patience
        I know it is not your fault, but nobody has helped me with {order} for {n} weeks
        [kindly|please] understand that I cannot go on waiting for my {price}
        I have always been a loyal customer and this is where it [ends|stops]
        I would be grateful if somebody [finally|at long last] read my mails about {order}
        forgive me for being [blunt|direct], the {n}th broken {item} is too much
        I do not like to complain, yet after {n} weeks I see no other way
        may I ask, once again, for a person who can [really|actually] decide on {order}?
        I appreciate your [kind|friendly] words, they are the same as last week and the week before
        please do not [thank|ask] me for my patience any more, it is used up
        I [regret|am sad] to say that I will take my {price} and my custom elsewhere
        thank you for the reply, it is the {n}th that does not answer my question
        I would [rather|much rather] not go to my bank, but you leave me no choice with {order}
        excuse me, but I have been sent from one desk to the next since {day}
        I am [truly|very] tired of this, please just close everything and refund me
    """,
    ("frustrated", "turned"): """
        I used to [love|praise] this shop, now {n} mails go unanswered
        it was fine at first, then {order} went wrong {n} times and nobody [cares|reacts]
        your colleague was [nice|kind], yet here I am again with no {title} and no refund
        you said it was solved and I [thanked|believed] you, it is not, for the {n}th time
        the first parcels were [great|perfect], the last {n} were all broken and you do nothing
        I was patient, I was friendly, it got me [nowhere|nothing], I want my {price}
        last month I gave you five stars, today I would give none, {order} is a nightmare
        {title} is lovely, but I will [never|not ever] go through such a delivery again, {n} weeks!
    """,
}

# What people say after it, in so many words; sarcasm does without.
TAILS: dict[str, str] = {
    "annoyed": """
        [how|that is] annoying
        I'm [a little|slightly] annoyed
        a bit annoying, [honestly|to be honest]
        not happy [about it|with that]
        [rather|kind of] disappointed
        that is a nuisance
        what a [pity|shame]
        that is annoying and a bit disappointing
        [not|hardly] good enough
        I'm not impressed
        this is [irritating|a nuisance]
        please do better [next time|in future]
        a little disappointed, not happy
        could be better, [honestly|really]
        what a nuisance, it annoys me
        [mildly|rather] irritated over here
    """,
    "calm": """
        just [wondering|curious]
        no hurry
        [thanks|thank you] in advance
        whenever you have time
        just [asking|checking]
        no rush, just curious
        only [asking|wondering]
        just a question
    """,
    "content": """
        thank you [so much|very much]
        [I'm|we're] [so|very] happy
        [great|wonderful] service
        I love it
        you are [great|the best|wonderful]
        many thanks, it is perfect
        I'm [really|very] pleased
        thanks, [brilliant|great] job
        so happy with it, thanks
        [perfect|lovely], thank you
        keep it up, great shop
        [love|loved] it, thank you
        such a [joy|delight], I'm so pleased
        I'll [gladly|happily] order again
        very happy, wonderful shop
        you made me happy, thanks
    """,
    "frustrated": """
        this is the {n}th time
        nobody [helps|answers|listens]
        I have had enough
        I'm [so|totally] fed up
        I want [my money back|a refund] now
        this is [unacceptable|ridiculous|outrageous]
        still no [answer|help] after {n} [mails|calls]
        I'm [furious|done] with you
        again and again the same, I'm fed up
        I have been ignored for {n} weeks
        enough, I want a manager now
        [fix|solve] it today or I go to my bank
        unacceptable, for the {n}th time
        nobody helps me, I have had enough
        I give up, this is ridiculous
        {n} weeks and still nobody answers
    """,
    "worried": """
        I'm [so|really|a bit] worried
        I hope nothing is wrong
        [that|it] makes me nervous
        should I be concerned?
        I'm [scared|afraid] that it goes wrong
        please tell me that it is fine
        I'm [anxious|nervous] about it
        is that normal? I'm worried
        it worries me a lot
        I hope it is all right
        I'm afraid it is too late
        please tell me I need not worry
        I'm nervous, is it fine?
        I'm a little scared now
        I hope so much it is not lost, I'm anxious
        [concerned|worried] now, please tell me more
    """,
}

# What the shop answers between two messages of a customer: kind, and of no help.
REPLIES = (
    "Thank you for your message, we are looking into it.",
    "Could you give me your order number, please?",
    "I understand. Let me check that for you.",
    "Our courier tells us that it is on its way.",
    "Please allow two more working days.",
    "I have passed this on to the team in charge.",
    "Is there anything else that I can do for you?",
    "We are sorry to hear that.",
    "Have you tried to log out and in again?",
    "Your request has been noted under a new number.",
    "A colleague will come back to you by e-mail.",
    "Thanks for waiting, I am still here.",
    "May I ask you to describe it once more?",
    "The warehouse is a little busy at the moment.",
    "I can see your order in our system.",
    "Let me see what is possible.",
)
