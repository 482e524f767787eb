// A GraphQL server of the kind that people run: Yoga, with subscriptions over SSE of its own and over
// graphql-transport-ws. It prints its port, and ends with its standard input.
import { createServer } from 'node:http'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'

const books = [
  { __typename: 'Book', id: '1', title: 'Emma', pages: 474, added: '2026-01-02T03:04:05Z' },
  { __typename: 'Record', id: '2', title: 'Kind of Blue', minutes: 45.5, added: '2026-02-02T03:04:05Z' },
]

const schema = createSchema({
  typeDefs: /* GraphQL */ `
    scalar DateTime @specifiedBy(url: "https://scalars.graphql.org/andimarek/date-time")
    interface Item { id: ID! title: String! added: DateTime! }
    type Book implements Item { id: ID! title: String! added: DateTime! pages: Int! also: [Item!]! }
    type Record implements Item { id: ID! title: String! added: DateTime! minutes: Float! }
    union Found = Book | Record
    input By @oneOf { id: ID title: String }
    input Search { text: String = "" not: Search max: Int! = 10 }
    enum Order { TITLE ADDED @deprecated(reason: "use TITLE") }
    type Query {
      "Everything there is."
      items(search: Search, order: Order! = TITLE): [Item!]!
      find(by: By!): Found
      broken: String
      secret: String!
      old: String @deprecated
    }
    type Mutation { "Give an item another title." rename(id: ID!, title: String!): Item! }
    type Subscription { count(to: Int!): Int! }
  `,
  resolvers: {
    Item: { __resolveType: (v) => v.__typename },
    Found: { __resolveType: (v) => v.__typename },
    Book: { also: () => books },
    Query: {
      items: (_, { search }) => books.filter((b) => b.title.includes(search?.text ?? '')).slice(0, search?.max ?? 10),
      find: (_, { by }) => books.find((b) => b.id === by.id || b.title === by.title),
      broken: () => { throw new Error('an internal matter') },
      secret: (_, __, ctx) => ctx.request.headers.get('authorization') ?? 'none',
    },
    Mutation: { rename: (_, { id, title }) => Object.assign(books.find((b) => b.id === id), { title }) },
    Subscription: {
      count: {
        async *subscribe(_, { to }) { for (let i = 1; i <= to; i++) yield { count: i } },
      },
    },
  },
})

const yoga = createYoga({ schema, logging: false })
const server = createServer(yoga)
useServer({ schema }, new WebSocketServer({ server, path: '/graphql' }))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
