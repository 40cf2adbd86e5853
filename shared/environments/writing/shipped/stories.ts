/**
 * Stories of the shipped posts, all of our own making: frames with slots and what fills them, and
 * posts written one by one. Leaves out how frames are filled (posts.ts).
 */

export const WHO = [
  "my sister",
  "my roommate",
  "a colleague",
  "my neighbour",
  "my cousin",
  "my best friend",
  "my brother",
  "our landlord",
  "my aunt",
  "a classmate",
] as const;

export const WHEN = [
  "last week",
  "on Monday",
  "two months ago",
  "this morning",
  "over the holidays",
  "on my birthday",
  "yesterday",
  "in spring",
] as const;

export const THING = [
  "bike",
  "guitar",
  "old laptop",
  "tent",
  "coffee machine",
  "camera",
  "sewing machine",
  "toolbox",
  "record player",
  "kayak",
] as const;

/** Frames that training posts come from. */
export const TRAIN_FRAMES = [
  "I lent my {thing} to {who} {when}. It came back broken and nobody says a word about it. Should I ask for money or let it go?",
  "{who} borrowed my {thing} {when} and lent it to someone else. Now neither of them knows where it is. How do I bring this up without a fight?",
  "I found a {thing} at the flea market {when}. {who} says I paid too much, but it works and I love it. Was it a bad deal?",
  "I want to sell my {thing}. {who} offered half of what it is worth {when}. I need the money, but I feel cheated. What would you do?",
  "{when} I promised {who} my {thing} as a gift. Now I would like to keep it. Is there a kind way to take a promise back?",
  "{who} moved in with me {when} and uses my {thing} every day without asking. I am not angry yet, only tired. How do I set a rule?",
  "I repaired a {thing} for {who} {when} and got no thanks at all. It took me a whole weekend. Am I wrong to be hurt?",
  "My {thing} was stolen from the hall {when}. {who} left the door open and is sorry. Should I still ask them to pay a part?",
  "{who} and I bought a {thing} together {when}. We now live in different towns and both want it. What is a fair way to decide?",
  "I gave up a good job {when} to build my own {thing} shop. {who} thinks I am mad. I am happy but a little scared. Any advice?",
  "{when} {who} taught me how to use a {thing}. I practise each night and the neighbours complain. When is it too late to make noise?",
  "I won a {thing} in a raffle {when}. The ticket was a present from {who}, who now wants to share the prize. Do I owe them half?",
] as const;

/** Frames that only evaluation posts come from. */
export const EVAL_FRAMES = [
  "{who} posted a picture of my messy room with my {thing} in it {when}. Friends found it funny and I did not. How do I ask to take it down?",
  "We planned a trip and {who} cancelled {when}. I had packed even the {thing}. The hotel keeps the money. Who should pay for the room?",
  "I forgot the name of {who}'s partner {when} and called them by the wrong one twice, with my {thing} in hand. How do I make up for it?",
  "{when} I shipped a {thing} to {who} and the parcel never came. The post office blames the address. Do I have to send another one?",
] as const;

/** Written one by one; the first are for training. */
export const TRAIN_POSTS = [
  "My cat refuses the new food and cries at four each night. The vet says she is healthy. I sleep badly and my boss has noticed. How do I get her back to a rhythm?",
  "I agreed to run a half marathon with my team, but I cannot run two miles. The race is in ten weeks. Is there a plan for people who hate running?",
  "My grandmother wants to learn how to make video calls. She is patient, I am not. What is the simplest way to explain it by phone?",
  "Our office has one window and everyone wants the desk beside it. We drew lots and I won. Now two people do not talk to me. Should I give it up?",
  "I baked bread for a year and every loaf is flat. I changed the flour, the oven and the water. What else could it be?",
  "The tree behind our house leans over the street. The city says it is mine, the old owner says it is the city's. Who has to cut it?",
  "I answered a message meant for someone else and now I know about my own surprise party. Do I tell them or act surprised?",
  "My flight was moved by a day and the airline offers a voucher. I would miss a wedding. Can I ask for my money and book another one?",
  "I teach evening classes and one student corrects me in front of all others. He is often right. How do I stay friendly?",
  "We adopted a dog who is afraid of stairs. We live on the third floor and he weighs forty kilos. What has helped other dogs?",
  "I inherited a piano that fills half of my flat. Nobody in the family plays, but nobody wants it sold. What would be a good compromise?",
  "I have two job offers, one close to home and dull, one far away and exciting. I have to answer by Friday. How did you decide?",
] as const;

export const EVAL_POSTS = [
  "My son wants to quit the choir a month before the big concert. He sings well but has no friends there. Do I let him stop now?",
  "I bought train tickets for the wrong month and the shop will not change them. The mistake was mine. Is there any way to save part of the price?",
  "Our street party needs a stage and I said I would build it. I have never built anything. What is the safest simple design?",
  "My new glasses make straight lines look bent. The optician says I should wait two weeks. How long did it take you?",
  "A stranger waves at me each morning from the bus and I started to wave back. Now I wonder who it is. Should I say hello?",
  "I want to eat less sugar, but my partner bakes cakes for a living. The kitchen smells wonderful. How do I stay strong?",
  "The heating of our flat clanks all night. The caretaker hears nothing when he comes. How can I prove that there is a noise?",
  "I learn Finnish for a move in autumn and still cannot order a coffee. I study an hour a day. What am I doing wrong?",
] as const;
