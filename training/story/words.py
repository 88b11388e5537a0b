"""What requests are drawn from: our own lists of characters, places, objects, moods, plots and first sentences.

Every entry fits the sentences of `requests.py` as it stands: kinds, traits and objects without an article, places with
their preposition.
"""


def _words(text: str) -> list[str]:
    return text.split()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


NAMES = _words("""
Ada Alba Alma Amos Anika Anton Arlo Asha Astrid Aya Basil Bea Ben Benno Birdie Bo Bram Bruno Cleo Cora Dara Dario Della Dina Dora Edda
Eli Elsa Emil Enzo Esme Ezra Faye Felix Fern Finn Flora Freya Fritz Gus Hana Hattie Hazel Henk Hugo Ida Iggy Ines Inga Iris Ivo Jade Jana
Jasper Jona Jory June Juno Kai Kaya Kiki Kip Kit Lars Leila Lena Leo Lila Linus Lola Lotte Lucia Lula Luna Mabel Maja Malik Marlo Matti
Maya Mika Mila Milo Mimi Mina Mira Moss Nadia Nell Nico Nils Nina Noor Nora Odd Ola Olga Olive Omar Oona Opal Orla Oskar Otis Otto Pablo
Paloma Pavel Pearl Penny Petra Pia Pim Pip Poppy Quill Rafi Remy Rex Rina Robin Rolf Romy Rosa Rowan Ruby Rufus Runa Sami Sana Saskia Selma
Silas Sofi Sol Stella Sunny Suri Sven Tala Tara Tess Theo Tilda Tilly Timo Toby Tova Ugo Ulla Uma Una Vera Vida Viggo Viola Wanda Wilma Willa
Winnie Wren Yara Yuki Yusuf Zara Zelda Zeno Zia Ziggy Zora
""")

ANIMALS = _words("""
fox owl bear rabbit hedgehog squirrel badger mouse otter beaver frog toad turtle duck goose swan hen rooster crow robin sparrow heron stork
penguin seal whale dolphin crab octopus snail bee ladybug butterfly beetle ant spider cat kitten dog puppy horse pony donkey goat sheep lamb
cow pig wolf deer moose lynx elephant lion tiger monkey giraffe zebra hippo camel koala kangaroo panda parrot pelican lizard gecko
mole bat raccoon skunk hamster ferret llama
""")

PEOPLE = _lines("""
girl
boy
baker
gardener
farmer
fisherman
sailor
captain
painter
potter
teacher
doctor
nurse
librarian
clockmaker
carpenter
shoemaker
tailor
weaver
miller
cook
postman
train driver
bus driver
lighthouse keeper
beekeeper
shepherd
king
queen
prince
princess
knight
wizard
witch
pirate
musician
drummer
dancer
singer
juggler
clown
magician
astronaut
inventor
explorer
mapmaker
grandmother
grandfather
twin
firefighter
mechanic
night watchman
""")

CREATURES = _lines("""
robot
dragon
ghost
giant
troll
elf
gnome
fairy
mermaid
unicorn
snowman
scarecrow
puppet
toy soldier
little cloud
little star
wooden boat
red kite
small tree
toy train
""")

KINDS = ANIMALS + PEOPLE + CREATURES

TRAITS = _words("""
brave shy kind curious clever lonely cheerful grumpy gentle quiet proud patient clumsy careful funny sleepy busy honest stubborn hopeful tiny
young old small friendly forgetful nervous playful wise silly hungry tired polite bold calm dreamy lucky generous cautious loyal restless
hardworking thoughtful messy merry
""")

PLACES = _lines("""
in a small village by the sea
in a quiet forest
on a green hill
beside a slow river
in a tall lighthouse
in a busy town
on a little farm
in an old windmill
at the edge of a dark wood
on a tiny island
in a snowy valley
high in the mountains
in a house with a blue door
in a city of bridges
under the roots of an oak
in a garden full of roses
near a frozen lake
at the end of a long road
in a cave behind a waterfall
in a castle on a rock
in a market square
in a bakery on the corner
on a big ship
in a harbour full of boats
in a desert with red sand
in a treehouse
beside a deep well
in a library with a thousand books
in an apple orchard
at the train station
in a school near the park
in a tent by the lake
in a warm kitchen
in the attic of an old house
on a cloud above the town
on the moon
in a jungle full of birds
on a beach with white sand
in a field of sunflowers
in a barn with a red roof
in a narrow street
in a village without a clock
behind the old church
in a toy shop
in a music shop
at the foot of a volcano
in a meadow
in a swamp
in a tunnel under the hill
in a little wooden cabin
on a bridge over the river
in a town where it always rained
in a land of snow
in the middle of the ocean
in a greenhouse
in a post office
in a museum
in a circus
at a fair
in a vineyard
on a rooftop
in a palace with a hundred rooms
by a pond
in a pine forest
in a workshop full of tools
in a boat shed
next to the railway
in a village of tents
in a stone tower
beside the old mill
""")

OBJECTS = _words("""
key lantern map kite boat drum flute bell clock watch compass umbrella hat scarf coat boot glove button ribbon ring necklace crown mirror
comb spoon kettle teapot cup bowl basket bucket ladder rope hammer shovel broom candle lamp book letter notebook pencil paintbrush painting
photograph box chest suitcase backpack bag coin stone shell feather acorn apple pear pumpkin carrot potato cake pie loaf cookie sandwich jar
bottle egg nest flower rose seed leaf branch telescope whistle violin guitar trumpet piano ball balloon doll puppet puzzle bicycle sled cart
wagon wheel blanket pillow quilt chair bench table door gate fence bridge tent net anchor flag sail oar bone magnet spring marble spyglass
camera radio robot train drawing statue pot vase tree star snowball leash collar saddle horseshoe crayon envelope stamp ticket medal trophy
""")

OBJECT_TRAITS = _words("""
rusty golden silver tiny broken old shiny blue red green yellow wooden magic lost strange heavy little big beautiful torn dusty round
glowing striped painted soft warm secret forgotten special purple white black crooked copper glass simple new
""")

MOODS = _words("""
happy sad funny calm exciting cosy mysterious hopeful gentle strange sleepy adventurous warm silly magical peaceful surprising
""")

# What happens: the clause that a request names, then sentences that bring the turn and the way out, each in several wordings.
# {o} is "the key", {O} "The key", {thing} "key", {n} the character, {h} the helper's name, {intro} "an owl named Oona".
# The last field says whether the character has the object at the end.
PLOTS = [tuple(part.strip() for part in line.split("|")) for line in _lines("""
loses {o} and must find it again | But one day, {o} was gone. ; Then {n} looked up and could not see {o} anywhere. ; In the evening, {n} noticed that {o} was missing. | At last, {n} saw {o} under a bush. ; Then {intro} came along and said, "Is this your {thing}?" ; Just before dark, {n} found {o} in the tall grass. | keeps
wants to find out who owns {o} | {n} asked everyone, "Is this your {thing}?" ; "Somebody must be missing {o}," thought {n}. | Then {intro} began to laugh and said, "That {thing} is mine, but you may keep it." ; In the end, {n} learned that {o} belonged to nobody at all. | keeps
gives {o} to a friend | Then {n} met {intro}, who looked very sad. ; Next door lived {intro}, who had nothing at all. | So {n} held out {o} and said, "This is for you." ; "Take {o}," said {n}. "You need it more than I do." | gone
carries {o} across a river | Soon {n} came to a wide river. ; The way led to a river, and there was no bridge. | Then {intro} came with a little boat. ; {n} held {o} high and walked slowly through the cold water. | keeps
mends {o} with a friend | But then {o} fell down and broke. ; There was a loud crack, and {o} was broken. | "I can help," said {intro}. ; {n} and {intro} worked on {o} all day, and then it was whole again. | keeps
finds out that {o} has a secret | That night, {o} began to glow. ; When {n} touched {o}, there was a strange little sound. | Inside {o} there was a tiny letter. ; Then {n} understood the secret of {o}. | keeps
learns to share {o} | Then {intro} asked, "May I use {o} too?" ; {n} did not want anyone else to touch {o}. | {n} thought for a long time and then gave {o} to {h} for the afternoon. ; "We can both use {o}," said {n} at last. | keeps
is afraid of the dark until {o} helps | When the sun went down, {n} was afraid. ; The night was very dark, and {n} could not sleep. | Then {n} held {o} close and felt brave. ; With {o} beside the bed, the dark was not so dark any more. | keeps
wins a race with {o} | The next day there was a big race. ; "Let us have a race," said {intro}. | {n} ran as fast as the wind, and {o} made all the difference. ; At the last moment, {n} used {o} and came in first. | keeps
helps someone with {o} | On the road stood {intro}, who needed help. ; "Help!" called {intro} from far away. | Then {n} had an idea and used {o}. ; "I have just the right thing," said {n} and took out {o}. | keeps
hides {o} and forgets where it is | {n} hid {o} so that nobody could take it. ; To keep it safe, {n} put {o} in a secret place. | "Where did I put {o}?" asked {n}, and then remembered. ; {n} looked in every corner, and at last there was {o}. | keeps
trades {o} and is sorry | Then {intro} said, "Give me {o}, and I will give you a bag of sweets." ; At the market, {n} traded {o} for a shiny new hat. | But soon {n} wanted {o} back. ; "I made a mistake," said {n}. "May I have {o} again?" | keeps
follows a trail that begins with {o} | Behind {o} there were small footprints. ; From {o}, a line of little lights led into the dark. | At the end of the trail sat {intro}. ; The trail led all the way round and back to {o}. | keeps
gets lost on the way home with {o} | On the way home, {n} took a wrong turn. ; Soon {n} did not know the way any more. | Then {intro} showed {n} the way. ; From the top of a hill, {n} could see home at last. | keeps
makes {o} even better | "I can make {o} even better," thought {n}. ; {n} looked at {o} and had an idea. | After three days, {o} was better than ever. ; When it was done, everybody came to look at {o}. | keeps
returns {o} before the sun goes down | "I must bring {o} back before the sun goes down," said {n}. ; But {o} belonged to {intro}, and it was getting late. | Just as the sun went down, {n} knocked at the right door. ; {n} gave {o} back at the very last moment. | gone
saves a friend from a storm with {o} | Then a great storm came, and {intro} was still outside. ; Dark clouds came, and the wind began to howl around {intro}. | With {o}, {n} went out into the storm and brought {h} home. ; {n} held on to {o} and pulled {h} to safety. | keeps
learns that {o} is worth more than gold | A rich merchant said, "I will give you a bag of gold for {o}." ; Then {intro} offered {n} a hundred gold coins. | But {n} only held {o} tight. ; "No," said {n}. "I would not give {o} away for all the gold in the world." | keeps
quarrels with a friend about {o} | "{O} is mine!" said {intro}. ; Then {n} and {intro} both wanted {o}. | After a while, both of them were sorry. ; "Let us not fight about {o}," said {h}. | keeps
makes a new friend because of {o} | {intro_cap} stopped and said, "What a nice {thing}!" ; Then somebody tapped {n} on the shoulder. It was {intro}. | Soon {n} and {h} were good friends. ; {n} let {h} try {o}, and both of them laughed. | keeps
keeps {o} safe for one night | "Keep {o} safe until the morning," said {intro}. ; That night, {n} had to watch over {o}. | {n} stayed awake until the sun came up. ; In the morning, {o} was still there. | keeps
tells a lie about {o} and then tells the truth | "I have never seen {o}," said {n}, but it was a lie. ; {n} told {intro} that {o} was lost, and that was not true. | In the end, {n} told the truth. ; "I am sorry," said {n}. "I had {o} all the time." | keeps
looks for {o} in the snow | Then it began to snow, and soon {o} was covered. ; {O} fell into the deep snow. | {n} dug with both hands and found {o}. ; Something dark stuck out of the snow. It was {o}. | keeps
learns how to use {o} | But {n} did not know how to use {o}. ; The first time went wrong, and {n} was sad. | "Let me show you," said {intro}. ; {n} tried again and again, and then it worked. | keeps
hears a strange sound that comes from {o} | Then a strange sound came from {o}. ; In the middle of the night, {n} heard a sound. It came from {o}. | Inside {o} sat a very small mouse. ; It was only the wind that sang in {o}. | keeps
brings {o} to the village party | In the evening there was a party in the village. ; Everyone was asked to bring something to the party. | {n} put {o} in the middle, and everybody clapped. ; "{O} is the best thing here," said {intro}. | keeps
dreams about {o} and wakes up with an idea | That night, {n} dreamed about {o}. ; In a dream, {o} could talk. | In the morning, {n} woke up with an idea. ; {n} jumped out of bed and ran to {o}. | keeps
sells {o} at the market | One day, {n} needed money and took {o} to the market. ; "I will sell {o}," said {n}. | Then {intro} came and paid ten coins for {o}. ; {intro_cap} looked at {o} for a long time and bought it. | gone
finds {o} at the bottom of the water | With a splash, {o} fell into the water. ; {O} sank to the bottom of the water. | {n} dived down and came up with {o}. ; Then {intro} pulled {o} out with a long stick. | keeps
asks a friend to look after {o} | But {n} had to go on a journey and could not take {o}. ; "Will you look after {o}?" {n} asked {intro}. | When {n} came back, {o} was clean and safe. ; "Here is {o}," said {h}. "I took good care of it." | keeps
climbs very high to reach {o} | A gust of wind carried {o} to the top of a tall tree. ; Then a bird took {o} and dropped it on a high roof. | {n} climbed higher and higher and reached {o}. ; With one last jump, {n} had {o} again. | keeps
says goodbye to {o} | One day, {n} knew that it was time to say goodbye to {o}. ; "I am too big for {o} now," said {n}. | {n} gave {o} to {intro} with a smile. ; So {n} put {o} into the hands of {intro}. | gone
builds a little house for {o} | {n} decided to build a little house for {o}. ; Rain began to fall on {o}. "You need a house," said {n}. | When the last nail was in, {n} put {o} inside. ; With the help of {intro}, the house for {o} was soon ready. | keeps
takes {o} on a long journey | The next morning, {n} packed {o} and set off. ; {n} wanted to see the world and took {o} along. | After many days, {n} came home with {o}. ; At the end of the journey, {n} sat down and looked at {o}. | keeps
surprises a friend with {o} | It was the birthday of {intro}. ; {n} wanted to surprise {intro}. | "Surprise!" called {n} and showed {o}. ; {h} opened the box, and inside was {o}. | gone
catches a thief who took {o} | In the night, a thief came and took {o}. ; "Stop, thief!" called {n}, but {o} was already gone. | {n} followed the thief to an old barn and found {o}. ; The thief was only {intro}, who said sorry and gave {o} back. | keeps
makes music with {o} | {n} noticed that {o} made a lovely sound. ; "Let us make music with {o}," said {intro}. | Soon everyone was dancing. ; The music of {o} could be heard far and wide. | keeps
uses {o} to cross the mountains | There was a high mountain, and {n} had to cross it. ; The path over the mountains was steep and cold. | With {o}, {n} reached the top. ; {n} thought of {o} and took the last step. | keeps
""")]

# Last sentences. Those that end in "..." are finished by the teacher.
CLOSINGS = {
    "keeps": _lines("""
From that day on, {n} took good care of {o}.
That night, {n} fell asleep with {o} nearby.
{n} put {o} in a safe place and smiled.
And {n} never let go of {o} again.
{n} looked at {o} and was happy.
From then on, {o} was always with {n}.
When {n} came home, {o} was the first thing to be put on the table.
To this day, {n} still has {o}.
{n} carried {o} home under the stars.
And every evening, {n} told the story of {o}.
{n} held {o} up to the light and laughed.
That was how {n} and {o} came home.
In the end, {n} took {o} and ...
From that day on, {n} used {o} to ...
That evening, {n} sat down with {o} and ...
{n} looked at {o} and said, ...
And so {n} and {o} ...
After that, {n} always kept {o} ...
{n} picked up {o} and ...
"""),
    "gone": _lines("""
Now {n} did not have {o} any more, and that was all right.
Sometimes {n} still thought of {o} and smiled.
From that day on, {n} and {h} were friends, and {o} was the reason.
{n} walked home without {o}, but with a light heart.
Whenever {n} saw {o} again, it brought back that day.
And {n} never missed {o} at all.
{n} waved to {h}, who held {o} tight.
When {n} thought of {o} that night, ...
From then on, {n} visited {h} and {o} ...
{n} looked at {o} one last time and ...
"""),
}

# Dialogues: what both do at first, the first line and the last; the teacher writes those between.
TOGETHER = _lines("""
were looking at
had found
stood in front of
were talking about
sat next to
""")
DIALOGUE_STARTS = _lines("""
Look, what a nice {thing}!
Where did you get {o}?
I think {o} is mine.
Do you know what {o} is for?
I want to tell you about {o}.
Can you help me with {o}?
I dreamed about {o} last night.
Who left {o} here?
""")
DIALOGUE_ENDS = _lines("""
Thank you, {h}. Let us take {o} home.
You are right, {h}. {O} is for both of us.
Good night, {h}. I will look after {o}.
Then come along, {h}, and bring {o}.
I am glad we talked about {o}, {h}.
""")

TIMES = _lines("""
One day
One morning
One evening
One night
One sunny morning
One rainy afternoon
One cold winter day
One spring morning
One windy day
One quiet evening
Early one morning
Late one night
One summer day
One autumn afternoon
On a foggy morning
On the first day of spring
On a very hot day
On a snowy night
Just before sunrise
At sunset
""")

# How a story may open; the first sentence brings in the character, the second the object.
FIRST = _lines("""
Once upon a time, {a_character} named {name} lived {place}.
{Time}, {a_character} named {name} woke up {place}.
There was once {a_character} named {name} who lived {place}.
{Name} was {a_character} who lived {place}.
Long ago, {place}, there lived {a_character} named {name}.
{Time}, {a_character} named {name} was walking {place}.
{Place}, there lived {a_character} named {name}.
{Name} the {kind} was very {trait}.
Everyone {place} knew {name}, the {trait} {kind}.
{Time}, {name} the {kind} sat {place} and wondered what to do.
Nobody {place} was as {trait} as {name} the {kind}.
{Name} the {kind} had a plan.
It was a good day {place}, and {name} the {trait} {kind} was up early.
Far away, {place}, {a_character} named {name} was thinking.
""")

SECOND = _lines("""
{Name} had {an_object}.
{Time2}, {name} found {an_object}.
In front of the door lay {an_object}.
What {name} loved most was {an_object}.
{Name} had always wanted {an_object}.
There, half hidden, was {an_object}.
{Name} was looking for {an_object}.
{Time2}, something was missing: {an_object}.
All {name} owned was {an_object}.
{Name} saw {an_object} and stopped.
With {name} was {an_object}.
{Name} had just made {an_object}.
""")

# Things people ask that a story model cannot answer; it says so in one sentence and tells a story.
ASIDES = _lines("""
What is the capital of {country}?
How much is {number} plus {number2}?
Write a program that sorts a list.
What is the weather like today?
Who are you?
Hello!
Hi there, how are you?
Can you help me with my homework?
Explain how a {object} works.
What should I cook tonight?
Translate "{object}" into French.
What is {number} times {number2}?
Who was the first king of {country}?
Tell me a fact about the {animal}.
Give me advice about my job.
What can you do?
Thank you!
Good morning.
How do I fix a {object}?
What does a {animal} eat?
Why is the sky blue?
Write an email to my boss.
How far is it to {country}?
What time is it?
""")

ASIDE_REPLIES = _lines("""
I am a small model and only know stories, so here is one.
I can only tell stories, but I like doing it. Here is one.
That is not something I know. I know stories, and this is one.
I only tell short stories. Here is one for you.
""")

COUNTRIES = _words("France Peru Japan Kenya Norway Egypt India Chile Poland Canada Ghana Iceland Vietnam Spain Mexico Finland")
