import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{n as t,t as n}from"./jsx-runtime-C3cWAN_r.js";import{A as r,D as i,E as a,N as o,Ot as s,Q as c,c as l,d as u,f as d,h as f,k as p,kt as m,l as h,m as g,s as _,u as v,z as y}from"./live-Cuaf3Woa.js";import{t as b}from"./console-ZFO1jjrV.js";import{a as x,i as S,n as C,t as w}from"./format-Cok3jGay.js";import{t as T}from"./graphql-C-gECOzk.js";import{n as E,t as D}from"./shortlist-HjmC0DC3.js";var O=e(t(),1),k=T(`
  query Sessions($principal: String) {
    viewer {
      session
    }
    admin {
      sessions(principal: $principal) {
        totalCount
        missingNodes
        nodes {
          id
          node
          via
          kind
          principal
          principalName
          opened
        }
      }
    }
  }
`),A=T(`
  query Connections($principal: String) {
    admin {
      connections(principal: $principal) {
        totalCount
        nodes {
          principal
          tenant
          source
          since
        }
      }
    }
  }
`),j=T(`
  mutation EndSession($id: ID!) {
    endSession(id: $id)
  }
`),M=T(`
  mutation EndConnection($principal: String!, $source: String!, $tenant: String) {
    endConnection(principal: $principal, source: $source, tenant: $tenant) {
      revoked
    }
  }
`),N=T(`
  mutation RevokeCredentials($principal: String, $tokenId: String, $issuer: String, $reason: String) {
    revokeCredentials(principal: $principal, tokenId: $tokenId, issuer: $issuer, reason: $reason) {
      ended
    }
  }
`),P=n();function F({principal:e,admin:t}){let[{data:n,error:r,fetching:i},a]=m({query:A,variables:{principal:e||null},requestPolicy:`network-only`}),[,o]=s(M),[g,_]=(0,O.useState)(``),y=n?.admin.connections,b=()=>a({requestPolicy:`network-only`}),T=d(r).some(e=>e.code===`NOT_FOUND`);return(0,P.jsxs)(f,{title:y?`Connections to sources: ${w(y.totalCount)}`:`Connections to sources`,actions:(0,P.jsx)(c,{onPress:b,children:`Read again`}),children:[!T&&(0,P.jsx)(h,{error:r}),g&&(0,P.jsx)(u,{tone:`good`,children:g}),T?(0,P.jsxs)(l,{title:`No source is called with accounts of users`,children:[`Give a source `,(0,P.jsx)(`code`,{children:`oauth`}),` with `,(0,P.jsx)(`code`,{children:`users: true`}),` in the configuration: users then connect their own accounts, and stand here.`]}):y?y.nodes.length===0?(0,P.jsx)(l,{title:`Nobody has connected a source`,children:`A user who calls a source that wants an account of theirs is asked to connect it, and stands here then.`}):(0,P.jsx)(D,{items:y.nodes,label:`Connections`,what:`connections`,id:e=>JSON.stringify([e.principal,e.tenant,e.source]),children:e=>(0,P.jsxs)(`div`,{className:E.row,children:[(0,P.jsxs)(`div`,{className:E.who,children:[(0,P.jsx)(`strong`,{children:C(e.source,100)}),(0,P.jsx)(`span`,{className:`mono muted`,children:C(e.principal,300)})]}),(0,P.jsx)(`span`,{children:e.tenant&&`Tenant ${x(e.tenant)}`}),(0,P.jsxs)(`span`,{className:`muted`,children:[`since `,S(e.since)]}),(0,P.jsx)(`div`,{className:E.act,children:t&&(0,P.jsx)(p,{label:`End`,title:`End the connection to ${x(e.source)}`,confirm:`End it`,danger:!0,act:async()=>{let{data:t,error:n}=await o({principal:e.principal,source:e.source,tenant:e.tenant||null});if(n)return(0,P.jsx)(h,{error:n});_(t?.endConnection?.revoked?`Ended. The authorization server of the source has ended the tokens.`:`Ended: the gateway has forgotten the tokens. The authorization server of the source was not told.`),b()},children:(0,P.jsx)(`p`,{children:`The gateway forgets the tokens. The next call of this user asks them to connect anew.`})})})]})}):i&&(0,P.jsx)(v,{what:`connections`})]})}function I({principal:e,onDone:t}){let[n,o]=(0,O.useState)(!1),[l,d]=(0,O.useState)(`principal`),[f,p]=(0,O.useState)({principal:``,token:``,issuer:``,reason:``}),[m,g]=(0,O.useState)(),[_,v]=(0,O.useState)(),[{fetching:y},b]=s(N),x=e=>({value:f[e],onChange:t=>p({...f,[e]:t}),maxLength:1024}),S=l===`principal`?f.principal.trim():f.token.trim()&&f.issuer.trim(),C=async()=>{g(void 0);let e=f.reason.trim()||null,n=await b(l===`principal`?{principal:f.principal.trim(),reason:e}:{tokenId:f.token.trim(),issuer:f.issuer.trim(),reason:e});g(n.error);let r=n.data?.revokeCredentials;r&&(v(r.ended),p({principal:``,token:``,issuer:``,reason:``}),t())};return(0,P.jsxs)(P.Fragment,{children:[(0,P.jsx)(c,{className:`react-aria-Button danger`,onPress:()=>{p(t=>({...t,principal:t.principal||e})),v(void 0),g(void 0),o(!0)},children:`Revoke credentials`}),(0,P.jsx)(r,{title:`Revoke credentials`,isOpen:n,onClose:()=>o(!1),children:_===void 0?(0,P.jsxs)(`form`,{className:`stack`,onSubmit:e=>{e.preventDefault(),C()},children:[(0,P.jsx)(`p`,{children:`What was issued until now is refused from now on, and ends what was opened with it. Credentials that are issued later are good: to keep somebody out, change the policy or their account at the issuer.`}),(0,P.jsx)(a,{label:`Whose`,value:l,onChange:d,options:[[`principal`,`All credentials of a principal`],[`token`,`One token`]]}),l===`principal`?(0,P.jsx)(i,{label:`Principal`,isRequired:!0,...x(`principal`),hint:`The whole id: issuer|kind|subject.`}):(0,P.jsxs)(P.Fragment,{children:[(0,P.jsx)(i,{label:`Id of the token`,isRequired:!0,...x(`token`),hint:`Its claim jti.`}),(0,P.jsx)(i,{label:`Issuer`,isRequired:!0,...x(`issuer`),hint:`Its claim iss.`})]}),(0,P.jsx)(i,{label:`Reason`,...x(`reason`),hint:`For whoever reads the audit log later.`}),(0,P.jsx)(h,{error:m,what:`Nothing was revoked`}),(0,P.jsxs)(`div`,{className:`actions row`,children:[(0,P.jsx)(c,{onPress:()=>o(!1),children:`Cancel`}),(0,P.jsx)(c,{type:`submit`,className:`react-aria-Button danger`,isDisabled:!S||y,children:`Revoke`})]})]}):(0,P.jsxs)(P.Fragment,{children:[(0,P.jsxs)(u,{tone:`good`,children:[`Revoked on every node. `,w(_),` sessions and calls ended on the node that answers; the others do the same.`]}),(0,P.jsx)(`div`,{className:`actions`,children:(0,P.jsx)(c,{onPress:()=>o(!1),children:`Close`})})]})})]})}function L(e){let{session:t,own:n}=e,[,r]=s(j),i=C(t.principalName||t.principal,80);return(0,P.jsxs)(`div`,{className:E.row,children:[(0,P.jsxs)(`div`,{className:E.who,children:[(0,P.jsxs)(`div`,{className:`row`,children:[(0,P.jsx)(`strong`,{children:i}),n&&(0,P.jsx)(_,{tone:`accent`,children:`This browser`})]}),(0,P.jsx)(`span`,{className:`mono muted`,children:C(t.principal,300)})]}),(0,P.jsxs)(`span`,{children:[x(t.via),` · `,x(t.kind)]}),(0,P.jsxs)(`span`,{className:`muted`,children:[`since `,S(t.opened),t.node&&`, on ${x(t.node)}`]}),(0,P.jsxs)(`div`,{className:E.act,children:[(0,P.jsx)(c,{className:`react-aria-Button quiet`,"aria-label":`Only these: ${i}`,onPress:e.onPick,children:`Only these`}),(0,P.jsx)(o,{className:`ui-button`,href:`/audit?principal=${encodeURIComponent(t.principal)}`,"aria-label":`Records: ${i}`,children:`Records`}),e.admin&&(0,P.jsx)(p,{label:`End`,title:`End the session of ${i}`,confirm:`End it`,danger:!0,act:async()=>{let{error:n}=await r({id:t.id});if(n)return(0,P.jsx)(h,{error:n});e.onEnded()},children:(0,P.jsx)(`p`,{children:n?`This is the session of your own browser: you will have to sign in again.`:`Whatever it has open ends now. Its client may connect again: to prevent that, revoke its credentials.`})})]})]})}function R(){let[e,t]=y(),n=b(),r=e.get(`principal`)??``,i=e=>t(e?{principal:e}:{},{replace:!0}),[{data:a,error:o,fetching:s},d]=m({query:k,variables:{principal:r||null},requestPolicy:`network-only`}),p=()=>d({requestPolicy:`network-only`}),_=a?.admin.sessions,S=n(`sessions`,`admin`);return(0,P.jsxs)(g,{title:`Sessions`,hint:`Streams, sockets and browsers that are signed in, on every node.`,actions:(0,P.jsxs)(P.Fragment,{children:[(0,P.jsx)(c,{onPress:p,children:`Read again`}),S&&(0,P.jsx)(I,{principal:r,onDone:p})]}),children:[(0,P.jsx)(z,{value:r,onChange:i}),(0,P.jsx)(h,{error:o}),_&&_.missingNodes.length>0&&(0,P.jsxs)(u,{tone:`warn`,children:[`These nodes did not answer in time, so that what is open there is missing:`,` `,_.missingNodes.map(x).join(`, `),`.`]}),(0,P.jsx)(f,{title:_?`Open now: ${w(_.totalCount)}`:`Open now`,children:_?_.nodes.length===0?(0,P.jsx)(l,{title:`Nothing is open`,children:r?(0,P.jsx)(c,{onPress:()=>i(``),children:`Show everybody`}):`A session appears here when somebody connects to a door or signs in with a browser.`}):(0,P.jsxs)(P.Fragment,{children:[_.totalCount>_.nodes.length&&(0,P.jsxs)(`p`,{className:`muted`,children:[`The oldest `,w(_.nodes.length),` are shown: name a principal to see the others.`]}),(0,P.jsx)(D,{items:_.nodes,label:`Sessions`,what:`sessions`,id:e=>e.id,children:e=>(0,P.jsx)(L,{session:e,own:e.id===a.viewer.session,admin:S,onPick:()=>i(e.principal),onEnded:p})})]}):s&&(0,P.jsx)(v,{what:`sessions`})}),(0,P.jsx)(F,{principal:r,admin:S})]})}function z({value:e,onChange:t}){let[n,r]=(0,O.useState)(e);(0,O.useEffect)(()=>r(e),[e]);let a=()=>n.trim()!==e&&t(n.trim());return(0,P.jsx)(`search`,{children:(0,P.jsxs)(`form`,{className:`row`,style:{alignItems:`end`},onSubmit:e=>{e.preventDefault(),a()},children:[(0,P.jsx)(`div`,{style:{flex:`1 1 280px`,maxInlineSize:640},children:(0,P.jsx)(i,{label:`Principal`,value:n,onChange:r,onBlur:a,maxLength:512,placeholder:`Whole id: issuer|kind|subject`})}),e&&(0,P.jsx)(c,{onPress:()=>t(``),children:`Show everybody`})]})})}export{R as default};